"""One private server process: a free loopback port, a private folder, a guard that cleans up."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bin._bootstrap import ROOT

READY_SECONDS = 60


class ServiceError(RuntimeError):
    """A server could not be found or did not start; the message ends with its log."""


S = TypeVar("S", bound="Server")


class Server:
    """A server on `port` of 127.0.0.1 with `folder` for its data. Subclasses say how it runs and answers."""

    name = "server"
    stop_signal = 15
    #: Another user than root to run as, for a server that refuses root.
    user: str | None = None

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.pid = 0
        self._guard: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        """Program and arguments that run the server in the foreground."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the data in `folder` that the first start needs."""

    def ping(self) -> None:
        """Return when the server answers a real request; raise OSError while it does not."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, again after `stop` or `kill`, and wait until it answers."""
        self.pid = self._ask("start")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return self.ping()
            except OSError as error:
                if not _alive(self.pid) or time.monotonic() > deadline:
                    raise ServiceError(f"{self.name} did not start: {error}\n{self.log()}") from error
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server in its own orderly way; its data stays."""
        self._ask("stop")

    def kill(self) -> None:
        """End the server at once (SIGKILL); its data stays."""
        self._ask("kill")

    def log(self) -> str:
        """The end of what the server printed."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")[-3000:]
        return ""

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self._guard is not None:
            self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, command: str) -> int:
        if self._guard is None:
            user = ["--user", self.user] if self.user else []
            self._guard = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.services.guard", "--folder", str(self.folder)),
                    *("--stop-signal", str(self.stop_signal), *user, "--", *self.command()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                start_new_session=True,
            )
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._guard.stdin.write(command + "\n")
        self._guard.stdin.flush()
        answer = self._guard.stdout.readline()
        if not answer:
            raise ServiceError(f"{self.name}: its guard ended\n{self.log()}")
        return int(answer)


@contextlib.contextmanager
def running(make: Callable[[], S]) -> Iterator[S]:
    """Start the server that `make` prepares on a free port; it ends with the block."""
    for last in (False, False, False, True):
        server = make()
        try:
            server.prepare()
            server.start()
        except BaseException as error:
            server.close()
            # Somebody else may have taken the port meanwhile.
            if last or not isinstance(error, ServiceError) or "in use" not in str(error):
                raise
        else:
            break
    try:
        yield server
    finally:
        server.close()


def private_folder(user: str | None) -> Path:
    """A new folder (mode 700) of `user`, or of the caller."""
    folder = Path(tempfile.mkdtemp(prefix="quorate-"))
    if user:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    return folder


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie still has a pid.
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
