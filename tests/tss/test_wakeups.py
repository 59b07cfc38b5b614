"""The doorbell: who is woken, from where, and what a loss of Redis costs."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import redis
from django.conf import settings
from django.db import transaction

from tests.tss.nodes import and_close
from tss import wakeups

PATIENCE = 5.0


async def rings(key: str, act: Callable[[], object], timeout: float = PATIENCE) -> bool:
    """Whether a subscriber of `key` is rung after `act` runs in another thread."""
    async with wakeups.subscribe(key) as doorbell:
        # The relay's own first subscription rings everybody once: that ring is not the one waited for.
        await doorbell.wait(0.5)
        await asyncio.to_thread(and_close(act))
        return await doorbell.wait(timeout)


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_ring_wakes_its_key_only() -> None:
    assert asyncio.run(rings("node a", lambda: wakeups.notify(["node a", "node b"])))
    assert not asyncio.run(rings("node a", lambda: wakeups.notify(["node b"]), timeout=0.3))


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_ring_waits_for_the_commit() -> None:
    committed = threading.Event()

    def act() -> None:
        with transaction.atomic():
            wakeups.notify(["node"])
            committed.wait(0.3)

    async def run() -> tuple[bool, bool]:
        async with wakeups.subscribe("node") as doorbell:
            await doorbell.wait(0.5)
            acting = asyncio.create_task(asyncio.to_thread(and_close(act)))
            early = await doorbell.wait(0.15)
            committed.set()
            late = await doorbell.wait(PATIENCE)
            await acting
            return early, late

    assert asyncio.run(run()) == (False, True)


@pytest.mark.embedded
def test_nobody_is_left_in_the_hub() -> None:
    async def run() -> None:
        async with wakeups.subscribe("node a", "node b"):
            assert set(wakeups._hub._doorbells) == {"node a", "node b"}

    asyncio.run(run())
    assert wakeups._hub._doorbells == {}


def test_loop_ends_although_the_relay_is_just_connecting() -> None:
    """A site that is stopped right after its start must not hang."""

    async def run(steps: int) -> None:
        async with wakeups.subscribe("node"):
            for _ in range(steps):
                await asyncio.sleep(0)

    for steps in range(120):
        asyncio.run(run(steps))


def test_ring_of_another_process() -> None:
    code = "import django; django.setup(); from tss import wakeups; wakeups._ring(('node', 'another node'))"

    def act() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    assert asyncio.run(rings("node", act))


def test_echo_of_the_own_ring_is_not_heard_twice() -> None:
    async def run() -> tuple[bool, bool]:
        async with wakeups.subscribe("node") as doorbell:
            await doorbell.wait(0.5)
            await asyncio.to_thread(wakeups._ring, ("node",))
            return await doorbell.wait(PATIENCE), await doorbell.wait(0.3)

    assert asyncio.run(run()) == (True, False)


def test_lost_connection_comes_back_and_wakes_everybody() -> None:
    """What was rung meanwhile is lost, so all polls look for themselves once Redis is back."""
    client = redis.Redis.from_url(settings.QUORATE["REDIS_URL"])

    def cut() -> None:
        assert client.client_kill_filter(_type="pubsub") >= 1

    async def run() -> tuple[bool, bool]:
        async with wakeups.subscribe("node") as doorbell:
            await doorbell.wait(0.5)
            await asyncio.to_thread(cut)
            woken = await doorbell.wait(PATIENCE)
            await asyncio.to_thread(client.publish, wakeups.CHANNEL, "another process\nnode")
            return woken, await doorbell.wait(PATIENCE)

    assert asyncio.run(run()) == (True, True)


@pytest.mark.django_db(transaction=True)
def test_dead_redis_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.QUORATE, "REDIS_URL", "redis://127.0.0.1:1/0")
    wakeups._publisher.cache_clear()
    try:
        # The poll of this process is rung all the same.
        assert asyncio.run(rings("node", lambda: wakeups.notify(["node"])))
    finally:
        wakeups._publisher.cache_clear()
