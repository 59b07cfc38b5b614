"""Whether this site can do its work now: what /readyz answers."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from audit import services as audit
from tss import jobs

logger = logging.getLogger(__name__)

_PROBE_MS = 2000
_REDIS_S = 1.0


@dataclass(frozen=True)
class Readiness:
    """checks: name -> "ok", "late" or "failed"; oldest_due_job_s: None where no job waits."""

    checks: dict[str, str]
    oldest_due_job_s: float | None

    @property
    def ready(self) -> bool:
        """Late jobs say that workers are missing; the site itself can do its part."""
        return "failed" not in self.checks.values()


_lock = threading.Lock()
_last: tuple[float, Readiness] | None = None


def readiness() -> Readiness:
    """The state of things, at most READINESS_S old: however often it is asked, it costs the same."""
    global _last
    with _lock:
        now = time.monotonic()
        if _last is None or now - _last[0] > settings.QUORATE["READINESS_S"]:
            _last = (now, _look())
        return _last[1]


def forget() -> None:
    """Look again at the next call; for tests, which share a process."""
    global _last
    with _lock:
        _last = None


def _look() -> Readiness:
    checks = {"database": _outcome("database", _database)}
    alive = checks["database"] == "ok"
    for name, probe in {"migrations": _migrations, "audit": _audit}.items():
        # Each would wait for the same connection.
        checks[name] = _outcome(name, probe) if alive else "failed"
    if settings.QUORATE["WAKEUPS"] == "redis":
        checks["redis"] = _outcome("redis", _redis)
    age = None
    if checks["migrations"] == "ok":
        age = jobs.oldest_due_s()
        checks["jobs"] = "late" if age is not None and age > settings.QUORATE["LATE_JOB_S"] else "ok"
    return Readiness(checks, age)


def _outcome(name: str, probe: Callable[[], bool]) -> str:
    try:
        return "ok" if probe() else "failed"
    except (DatabaseError, redis.RedisError, OSError) as error:
        # What went wrong may name hosts and users: it goes to the log and not to whoever asks.
        logger.error("not ready, %s: %s: %s", name, type(error).__name__, error)
        return "failed"


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _migrations() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _audit() -> bool:
    """The audit log takes a row, so the database can be written too (T10)."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # A table that somebody has locked is no better than one that is full.
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {_PROBE_MS}")
                cursor.execute(f"SET LOCAL statement_timeout = {_PROBE_MS}")
        audit.probe()
    return True


def _redis() -> bool:
    with redis.Redis.from_url(
        settings.QUORATE["REDIS_URL"], socket_connect_timeout=_REDIS_S, socket_timeout=_REDIS_S
    ) as client:
        return bool(client.ping())
