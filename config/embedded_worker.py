"""The Celery worker and its beat as threads of the one web process: nothing to install for a first run.

Correct although everything in memory is lost with the process: the job rows say what is due, and the first
sweep after a start rings for it. Production runs `celery worker` and `celery beat` instead.
"""

import threading
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.worker import WorkController
from celery.worker import state as worker_state

from config.celery import app

_STOP_TIMEOUT_S = 10.0


class EmbeddedWorker:
    """One worker thread that runs tasks one after the other, and one beat thread. No signal handlers."""

    def __init__(self) -> None:
        app.set_default()
        self._worker: Any = WorkController(
            app=app,
            pool="solo",
            concurrency=1,
            hostname="embedded@localhost",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self._thread = threading.Thread(target=self._worker.start, name="embedded-worker", daemon=True)
        self._beat: Any = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)

    def start(self) -> None:
        from leasing import doorbell
        from tss import jobs
        from webhooks import courier

        # Whoever held a lease was a thread of the process before this one.
        jobs.release_all()
        courier.release_all()
        self._thread.start()
        self._beat.start()
        doorbell.send("tss.tasks.sweep")

    def stop(self) -> None:
        """End both threads after the task that runs now. Raises RuntimeError if they do not end."""
        self._beat.stop()
        # EX_OK; the consumer looks at it between two messages.
        worker_state.should_stop = 0  # type: ignore[assignment]
        self._thread.join(_STOP_TIMEOUT_S)
        worker_state.should_stop = None
        if self._thread.is_alive():
            raise RuntimeError("the embedded worker did not stop")


_running: EmbeddedWorker | None = None
_lock = threading.Lock()


def start() -> None:
    """Start the worker of this process, once."""
    global _running
    with _lock:
        if _running is None:
            _running = EmbeddedWorker()
            _running.start()


def stop() -> None:
    """Stop it, if it runs."""
    global _running
    with _lock:
        worker, _running = _running, None
        if worker is not None:
            worker.stop()
