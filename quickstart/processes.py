"""Child processes that never outlive their parent, each with a log file of its own."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
STOP_GRACE_S = 8.0


class ProcessDied(Exception):
    """A child ended by itself; the message names it and the end of its log."""


@dataclass
class Child:
    """A running child process and what is needed to start it again."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Processes:
    """The children of this process; `stop()` ends them all, and the kernel does if this process is killed."""

    def __init__(self, log_dir: Path) -> None:
        log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log_dir = log_dir
        self.children: dict[str, Child] = {}

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Child:
        """Start `arguments` (argv) with `environment` added to ours; output goes to <log_dir>/<name>.log."""
        log = self._log_dir / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(arguments),
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        child = Child(name, tuple(arguments), dict(environment or {}), log, process)
        self.children[name] = child
        return child

    def end(self, name: str) -> None:
        """Kill a child for good: it is no longer missed."""
        child = self.children.pop(name)
        child.process.kill()
        child.process.wait()

    def restart(self, name: str) -> Child:
        """Start a child that has ended once more."""
        child = self.children[name]
        return self.start(name, child.arguments, child.environment)

    def check(self) -> None:
        """Raise ProcessDied if a child has ended."""
        for child in self.children.values():
            if not child.running:
                raise ProcessDied(
                    f"{child.name} ended with status {child.process.returncode}; "
                    f"its log {child.log} ends:\n{child.log_tail()}"
                )

    def stop(self) -> None:
        """Ask every child to end, wait, and kill those that stay."""
        alive = [child for child in self.children.values() if child.running]
        for child in reversed(alive):
            child.process.terminate()
        deadline = time.monotonic() + STOP_GRACE_S
        for child in alive:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def python(*arguments: str) -> tuple[str, ...]:
    """The argument vector that runs `arguments` with this interpreter."""
    return (sys.executable, *arguments)


def die_with_parent() -> None:
    # Runs in the child before exec: the kernel ends the child when the parent is gone, however it went.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # An ignored SIGINT would be inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
