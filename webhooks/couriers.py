"""The threads of this process that serve endpoints: as many endpoints at once as there are threads.

A Celery task only hands an endpoint over, so that a slow receiver never holds up a worker's other tasks. What
waits here is lost with the process and harmless: the rows say what is due, and the sweeper rings again.
"""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from django.conf import settings

from webhooks import courier

logger = logging.getLogger(__name__)


class _Rung(Enum):
    ONCE = 1
    AGAIN = 2


_lock = threading.Lock()
_idle = threading.Condition(_lock)
_rung: dict[uuid.UUID, _Rung] = {}
_threads: ThreadPoolExecutor | None = None


def dispatch(endpoint_id: uuid.UUID) -> None:
    """Have the endpoint served soon; while it is, once more after that."""
    with _lock:
        if endpoint_id in _rung:
            _rung[endpoint_id] = _Rung.AGAIN
        else:
            _submit(endpoint_id)


def settle() -> None:
    """Wait until every endpoint that was handed over has been given back."""
    with _idle:
        _idle.wait_for(lambda: not _rung)


def _submit(endpoint_id: uuid.UUID) -> None:
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(settings.QUORATE["WEBHOOK_COURIERS"], thread_name_prefix="courier")
    _rung[endpoint_id] = _Rung.ONCE
    _threads.submit(_run, endpoint_id)


def _run(endpoint_id: uuid.UUID) -> None:
    more = False
    try:
        more = courier.serve(endpoint_id)
    except Exception:
        logger.exception("endpoint %s could not be served", endpoint_id)
    with _lock:
        again = more or _rung[endpoint_id] is _Rung.AGAIN
        # An ending process takes nothing more on; the rows wait for the next.
        if again and threading.main_thread().is_alive():
            _submit(endpoint_id)
        else:
            _rung.pop(endpoint_id, None)
            _idle.notify_all()
