"""Calls that race on connections of their own, with random pauses before their statements, from one seed."""

import contextlib
import os
import queue
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from tss.errors import ItemRefused
from vaults.errors import ServiceError

# A failed run prints its seed; the same seed draws the same pauses again.
SEED = os.environ.get("QUORATE_RACE_SEED") or secrets.token_hex(4)
# bin/test takes a sample, on both databases; bin/races runs the whole number on Postgres.
ROUNDS = [
    pytest.param(50, id="50", marks=[pytest.mark.embedded, pytest.mark.slow]),
    pytest.param(1000, id="1000", marks=[pytest.mark.campaign, pytest.mark.timeout(1800)]),
]
_PAUSE_S = 0.004
_PATIENCE_S = 60

Call = Callable[[], Any]


class Racers:
    """Threads that keep their connections over all rounds of a test."""

    def __init__(self, count: int) -> None:
        self._inboxes: list[queue.SimpleQueue[Call | None]] = [queue.SimpleQueue() for _ in range(count)]
        self._outbox: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, args=(place,)) for place in range(count)]
        self._round = 0

    def start(self) -> None:
        print(f"QUORATE_RACE_SEED={SEED}")
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)
        for thread in self._threads:
            thread.join(timeout=_PATIENCE_S)
            assert not thread.is_alive()

    def race(self, *calls: Call, first: int | None = None) -> list[Any]:
        """Run the calls at once; the result of each, or the refusal that a loser gets.

        first: the place of a call that is over before the others begin: what chance brings too seldom.
        """
        self._round += 1
        results: list[Any] = [None] * len(calls)
        places = set(range(len(self._inboxes)))
        ahead = places & {first}
        for wave in (ahead, places - ahead):
            for place in wave:
                self._inboxes[place].put(calls[place])
            for _ in wave:
                place, result = self._outbox.get(timeout=_PATIENCE_S)
                results[place] = result
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ServiceError | ItemRefused):
                raise result
        return results

    def _run(self, place: int) -> None:
        try:
            while (call := self._inboxes[place].get()) is not None:
                self._outbox.put((place, self._outcome(place, call)))
        finally:
            connection.close()

    def _outcome(self, place: int, call: Call) -> Any:
        draw = random.Random(f"{SEED}:{self._round}:{place}")
        time.sleep(draw.random() * _PAUSE_S)

        def pausing(execute: Callable[..., Any], *args: Any) -> Any:
            # About every fourth statement waits, so that the others get in between.
            if draw.random() < 0.25:
                time.sleep(draw.random() * _PAUSE_S / 4)
            return execute(*args)

        try:
            with connection.execute_wrapper(pausing):
                return call()
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            return error


@contextlib.contextmanager
def racers(count: int) -> Iterator[Racers]:
    runners = Racers(count)
    runners.start()
    try:
        yield runners
    finally:
        runners.stop()
