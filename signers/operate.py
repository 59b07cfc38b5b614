"""Running a node as a process: one per state folder, stopped by SIGTERM or SIGINT, no core dumps."""

import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from signers import __version__
from signers.errors import NodeError
from signers.node import Node
from signers.sealing import Secret
from signers.store import Store

log = logging.getLogger("quorate.node")


class Stopped(BaseException):
    """A signal asked the node to stop. Safe anywhere: an unfinished transaction rolls back, as after a kill
    (R23)."""


def forbid_core_dumps() -> None:
    """A crash must not write shares to a file (C08)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_node(store: Store, secret: Secret, state_dir: Path) -> None:
    """Serve requests until stopped. Raises NodeError already_running, and what unlocking raises."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    if not store.database.lock():
        raise NodeError("already_running", "another process runs this node")
    pid_file = state_dir / "node.pid"
    try:
        with stopping():
            pid_file.write_text(f"{os.getpid()}\n")
            node = Node.unlock(store, secret, state_dir)
            log.info("event=started node=%s software=%s", node.identity.node_id, __version__)
            node.run(time.sleep)
    except Stopped:
        log.info("event=stopped_by_signal")
    finally:
        pid_file.unlink(missing_ok=True)


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM and SIGINT raise Stopped inside."""

    def stop(signum: int, frame: FrameType | None) -> None:
        # A second signal must not interrupt the clean end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
