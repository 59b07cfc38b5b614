"""The doorbell of long polls: `notify(keys)` after a commit wakes whoever subscribed to one of the keys.

It carries no data and promises nothing: a poll subscribes, reads the database, waits, and reads again, also
when nothing rang for a while. "memory" wakes the polls of this process; "redis" those of every web process,
over one pub/sub connection per event loop, which comes back by itself and wakes everybody when it does.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CHANNEL = "quorate:wakeups"
_RECONNECT_S = 0.5
_SOCKET_TIMEOUT_S = 1.0


class Doorbell:
    """Waits for a ring. A ring during `wait` or before it counts once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Ring from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; whether it rang."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class _Hub:
    """The doorbells of this process by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doorbells: dict[str, set[Doorbell]] = {}

    def add(self, keys: tuple[str, ...], doorbell: Doorbell) -> None:
        with self._lock:
            for key in keys:
                self._doorbells.setdefault(key, set()).add(doorbell)

    def remove(self, keys: tuple[str, ...], doorbell: Doorbell) -> None:
        with self._lock:
            for key in keys:
                waiting = self._doorbells.get(key, set())
                waiting.discard(doorbell)
                if not waiting:
                    self._doorbells.pop(key, None)

    def ring(self, keys: Iterable[str] | None = None) -> None:
        """Ring the doorbells of `keys`, or all of them."""
        with self._lock:
            chosen = list(self._doorbells) if keys is None else keys
            waiting = {doorbell for key in chosen for doorbell in self._doorbells.get(key, ())}
        for doorbell in waiting:
            doorbell.ring()


_hub = _Hub()
_listeners: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]]" = WeakKeyDictionary()
_token = secrets.token_hex(8)


@contextlib.asynccontextmanager
async def subscribe(*keys: str) -> AsyncIterator[Doorbell]:
    """A doorbell for `keys`; subscribe before reading the database, so that no ring is lost."""
    if settings.QUORATE["WAKEUPS"] == "redis":
        _listen()
    doorbell = Doorbell()
    _hub.add(keys, doorbell)
    try:
        yield doorbell
    finally:
        _hub.remove(keys, doorbell)


def notify(keys: Iterable[str]) -> None:
    """Ring `keys` once the current transaction has committed (at once outside of one)."""
    chosen = tuple(keys)
    if chosen:
        transaction.on_commit(lambda: _ring(chosen), robust=True)


def events_key(organisation_id: str) -> str:
    """What rings when there may be news in the outbox of an organisation."""
    return f"events:{organisation_id}"


def ring_events(organisation_id: str) -> None:
    """Ring whoever waits for an organisation's events, once the current transaction has committed."""
    notify([events_key(organisation_id)])


def _ring(keys: tuple[str, ...]) -> None:
    _hub.ring(keys)
    if settings.QUORATE["WAKEUPS"] == "redis":
        try:
            _publisher(settings.QUORATE["REDIS_URL"]).publish(CHANNEL, "\n".join((_origin(), *keys)))
        except RedisError as error:
            logger.warning("wake-up not published, polls find out by themselves: %s", type(error).__name__)


def _origin() -> str:
    """Tells the echo of this process's own rings, which it has answered already, from those of others."""
    return f"{os.getpid()}-{_token}"


@lru_cache(maxsize=1)
def _publisher(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url, socket_connect_timeout=_SOCKET_TIMEOUT_S, socket_timeout=_SOCKET_TIMEOUT_S
    )


def _listen() -> None:
    loop = asyncio.get_running_loop()
    task = _listeners.get(loop)
    if task is None or task.done():
        _listeners[loop] = loop.create_task(_relay(settings.QUORATE["REDIS_URL"]))


async def _relay(url: str) -> None:
    """Pass on what other processes publish, until the loop ends; reconnects while Redis is away."""
    while not _ending():
        try:
            async with redis.asyncio.Redis.from_url(
                url, socket_connect_timeout=_SOCKET_TIMEOUT_S, health_check_interval=5
            ) as client:
                pubsub = client.pubsub()
                await pubsub.subscribe(CHANNEL)
                while not _ending():
                    _pass_on(await pubsub.get_message(timeout=_SOCKET_TIMEOUT_S))
        except (RedisError, OSError) as error:
            logger.warning("wake-ups interrupted, reconnecting: %s", type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)


def _pass_on(message: dict[str, Any] | None) -> None:
    if message is None:
        return
    if message["type"] == "subscribe":
        # Rings were lost while nobody listened.
        _hub.ring()
    elif message["type"] == "message":
        origin, *keys = message["data"].decode().split("\n")
        if origin != _origin():
            _hub.ring(keys)


def _ending() -> bool:
    """Whether this task is being cancelled: the Redis client swallows a cancellation while it connects."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
