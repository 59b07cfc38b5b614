"""Denials that anybody could provoke without end: one audit row a minute for each cause, in each process."""

import threading
import time
from collections.abc import Hashable

_QUIET_S = 60.0
_MAX_KNOWN = 10_000

_lock = threading.Lock()
_last: dict[Hashable, float] = {}


def due(cause: Hashable) -> bool:
    """Whether a row for `cause` is to be written now."""
    now = time.monotonic()
    with _lock:
        if now - _last.get(cause, -_QUIET_S) < _QUIET_S:
            return False
        if len(_last) >= _MAX_KNOWN:
            _last.clear()
        _last[cause] = now
    return True


def forget() -> None:
    """Begin anew; for tests, which share a process."""
    with _lock:
        _last.clear()
