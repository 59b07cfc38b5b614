"""N14: a disk that is full or fails when the share is written: nothing is confirmed, nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from signers.errors import NodeError
from signers.set_rules import ACTIVATED, FINAL, PREPARED
from tests.signers.ceremonies import run_out, until_round
from tests.signers.mailbox import FAILED, SUCCEEDED
from tests.signers.test_share_sets import old_set_is_whole, refreshing, session_states, states
from tests.signers.world import World
from wire.envelope import ROUND_MESSAGE


def fill_the_disk(world: World, name: str) -> None:
    """SQLite's own limit: the file may not grow, as on a full disk, and every page is taken."""
    database = world.store(name).database
    database.execute("CREATE TABLE filling (bytes BLOB)")
    pages = database.rows("PRAGMA page_count")[0][0]
    assert database.rows(f"PRAGMA max_page_count = {pages}") == [(pages,)]

    def fill() -> None:
        for _ in range(1000):
            database.execute("INSERT INTO filling VALUES (?)", (bytes(2000),))

    with pytest.raises(NodeError) as caught:
        fill()
    assert caught.value.code == "storage_failed"


def free_the_disk(world: World, name: str) -> None:
    world.store(name).database.rows("PRAGMA max_page_count = 1000000")


def test_n14_a_full_disk_at_the_share_write(world: World) -> None:
    request = refreshing(world)
    until_round(world, "a", 1)
    for _ in range(2):
        world.sync("b", "c")
    fill_the_disk(world, "a")
    world.sync("a")
    # No set, and no word that there is one; what the session held makes room to say so.
    assert states(world, "a") == []
    assert [record.code for record in world.store("a").sessions.listed()] == ["storage_failed"]
    world.sync("a")
    assert (ROUND_MESSAGE, 2, 1, 0) not in request.ceremony.slots
    assert (request.ceremony.state, request.ceremony.reason) == (FAILED, "storage_failed")
    assert old_set_is_whole(world)
    # With room again the next attempt runs.
    free_the_disk(world, "a")
    world.mailbox.attempt(request)
    world.finish(request)
    assert request.state == SUCCEEDED
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}


class FailingDisk:
    """A node's real database whose next commit fails when it would make a set of this state."""

    def __init__(self, database: Any, state: str = PREPARED) -> None:
        self._database = database
        self._state = state
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._database.transaction():
            sets = "SELECT COUNT(*) FROM share_sets WHERE state = ?"
            before = self._database.rows(sets, (self._state,))
            yield
            if not self.failures and self._database.rows(sets, (self._state,)) > before:
                self.failures += 1
                raise NodeError("storage_failed", "disk I/O error")


def test_n14_an_io_error_at_the_share_write_fails_the_ceremony_cleanly(world: World) -> None:
    request = refreshing(world)
    disk = FailingDisk(world.store("a").database)
    world.store("a").database = disk
    run_out(world, request)
    assert disk.failures == 1
    assert (request.ceremony.state, request.ceremony.reason) == (FAILED, "storage_failed")
    assert request.ceremony.said().blamed == 0
    assert states(world, "a") == []
    assert old_set_is_whole(world)
    # The others prepared, did not activate, and go on with the next attempt.
    world.store("a").database = disk._database
    world.mailbox.attempt(request)
    world.finish(request)
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}
    assert session_states(world, "a") == []


@pytest.mark.parametrize("state", [ACTIVATED, FINAL])
def test_n14_a_disk_that_fails_later_is_tried_again(world: World, state: str) -> None:
    """What the node is bound by is on disk: it neither abandons the set nor says what it has not stored."""
    request = refreshing(world)
    disk = FailingDisk(world.store("a").database, state)
    world.store("a").database = disk
    for _ in range(10):
        if disk.failures:
            break
        try:
            world.sync()
        except NodeError as error:
            assert error.code == "storage_failed"  # noqa: PT017
    assert disk.failures == 1
    before = {ACTIVATED: PREPARED, FINAL: ACTIVATED}[state]
    assert states(world, "a") == [before]
    world.finish(request)
    assert request.state == SUCCEEDED
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}
