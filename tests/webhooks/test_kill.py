"""T01, W09: workers are killed at random moments, and every event arrives all the same, and no other.

Real worker processes on Postgres and Redis deliver to a real receiver, while changes are committed and rolled
back. Each kill -9 comes in the middle of a delivery, the receiver having read it and not answered yet.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from django.conf import settings
from django.db import connection, transaction
from kombu import Connection

from config.celery import app
from leasing import doorbell
from quickstart.processes import ROOT, python
from tests.api.conftest import Tenant
from tests.services import provide_redis
from tests.webhooks.conftest import emit, endpoint_of
from tests.webhooks.receiver import Received, Receiver, Reply
from webhooks import tasks
from webhooks.models import Delivery, WebhookEndpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KILLS = 50
WORKERS = 3
ENDPOINTS = 6
# The next kill comes with one of so many arrivals.
MOST_BETWEEN = 15


class Workers:
    """Worker processes with a broker of their own; whichever is killed is replaced."""

    def __init__(self, redis_url: str) -> None:
        database = connection.settings_dict
        login = f"{database['USER']}:{database['PASSWORD']}"
        environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": "live tests only " * 4,
            "ALLOWED_HOSTS": "127.0.0.1",
            "RESPONSE_SIGNING_KEY": settings.QUORATE["RESPONSE_SIGNING_KEY"].hex(),
            "DATABASE_URL": f"postgresql://{login}@{database['HOST']}:{database['PORT']}/{database['NAME']}",
            "REDIS_URL": redis_url,
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
            # A dead worker's endpoints are free again after two seconds.
            "WEBHOOK_TIMEOUT_S": "1",
            "JOB_LEASE_S": "1",
        }
        self._source = subprocess.Popen(
            python("-m", "tests.webhooks.worker_source"),
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._pids = [self._start() for _ in range(WORKERS)]

    def _start(self) -> int:
        assert self._source.stdin is not None
        assert self._source.stdout is not None
        self._source.stdin.write("one more\n")
        self._source.stdin.flush()
        return int(self._source.stdout.readline())

    def kill_one(self, port: int) -> None:
        """Half of the time whoever sends from `port`, else any, whatever it may be doing."""
        victim = random.randrange(WORKERS)
        if random.random() < 0.5:
            victim = next((i for i, pid in enumerate(self._pids) if _sends_from(pid, port)), victim)
        os.kill(self._pids[victim], signal.SIGKILL)
        self._pids[victim] = self._start()

    def stop(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        self._source.communicate()


def _sends_from(pid: int, port: int) -> bool:
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return any(each.laddr[1:] == (port,) for each in connections)


class Killer:
    """Answers a receiver's requests, and now and then kills a worker while one of them has no answer yet."""

    def __init__(self, workers: Workers) -> None:
        self.kills = 0
        self._workers = workers
        self._lock = threading.Lock()
        self._left = random.randrange(MOST_BETWEEN)

    def answer(self, request: Received) -> Reply:
        with self._lock:
            self._left -= 1
            if self._left < 0 and self.kills < KILLS:
                self._workers.kill_one(request.port)
                self.kills += 1
                self._left = random.randrange(MOST_BETWEEN)
        return Reply()


@pytest.fixture
def redis_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis of its own, which this process rings as well: other tests' rings would wake these workers."""
    with provide_redis() as server, Connection(server.url) as broker:

        def send(task: str, *words: str, queue: str | None = None) -> None:
            app.send_task(task, args=words, queue=queue, connection=broker, retry=False)

        monkeypatch.setattr(doorbell, "send", send)
        yield server.url


def test_t01_w09_no_event_is_lost_or_invented_by_fifty_kills(
    tenant: Tenant, receiver: Receiver, redis_url: str
) -> None:
    seed = random.randrange(2**32)
    print(f"random.seed({seed})")
    random.seed(seed)
    endpoints = [endpoint_of(tenant, f"{receiver.url}/{number}") for number in range(ENDPOINTS)]
    workers = Workers(redis_url)
    killer = Killer(workers)
    receiver.answer = killer.answer
    kept: set[str] = set()
    deadline = time.monotonic() + 300
    try:
        while killer.kills < KILLS or Delivery.objects.exclude(status="Success").exists():
            assert time.monotonic() < deadline, f"{killer.kills} kills, {len(receiver.received)} arrivals"
            if killer.kills < KILLS and Delivery.objects.exclude(status="Success").count() < 60:
                kept.add(change(tenant, len(kept)))
            # As beat does, but more often: most of a second would be waited for a lease to end.
            tasks.sweep()
            threading.Event().wait(0.1)
    finally:
        workers.stop()
    assert killer.kills == KILLS
    assert {request.webhook_id for request in receiver.received} == kept
    arrived = {(request.path.rpartition("/")[2], request.webhook_id) for request in receiver.received}
    assert len(arrived) == len(kept) * ENDPOINTS
    # The fault happened: what had no answer when its worker died came again under its id.
    assert len(receiver.received) > len(arrived)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"Success"}
    assert not WebhookEndpoint.objects.exclude(pk__in=[each.pk for each in endpoints]).exists()


def change(tenant: Tenant, number: int) -> str:
    """Commit one event and roll back another, which must never be seen; the id of the first."""
    with transaction.atomic():
        event = emit(tenant, number)
    with transaction.atomic():
        emit(tenant, -1)
        transaction.set_rollback(True)
    return str(event.event_id)
