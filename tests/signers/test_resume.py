"""R23, test 32: a node killed at any moment goes on from its last commit with the same bytes, or ends
cleanly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from signers.database import SqliteDatabase, open_database
from signers.node import Node
from signers.set_rules import ERASED
from signers.store import Store
from tests.signers.mailbox import OPEN, SUCCEEDED, MailboxTransport, Request
from tests.signers.world import SECRET, World
from wire.envelope import ABORT, Envelope

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


class KilledAfter:
    """A node's real database that dies right after (or right before) its n-th outermost commit."""

    def __init__(self, database: SqliteDatabase, commit: int, *, before: bool) -> None:
        self._database = database
        self._left = commit
        self._before = before
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._database._connection.in_transaction:
            yield
            return
        with self._database.transaction():
            yield
            self.commits += 1
            if self._before and self.commits == self._left:
                raise Killed
        if self.commits == self._left:
            raise Killed


def with_killer(world: World, name: str, commit: int, *, before: bool) -> KilledAfter:
    world.nodes[name].store.close()
    database = open_database(world.state(name))
    assert isinstance(database, SqliteDatabase)
    store = Store(database)
    killer = KilledAfter(database, commit, before=before)
    parts = (store.pins, store.anchors, store.requests, store.sessions, store.shares, store.statements)
    store.database = killer
    for part in (*parts, store.evidence):
        part._database = killer
    transport = MailboxTransport(world.mailbox, store.sealed_identity()[0])
    world.nodes[name] = Node.unlock(store, SECRET, world.state(name), transport)
    return killer


def finish_over_kills(world: World, limit: int = 30) -> int:
    """Exchange until all is over; a node that dies is started again from its disk. The number of deaths."""
    request = world.mailbox.requests[-1]
    deaths = 0
    for _ in range(limit):
        for name in world.names:
            try:
                world.sync(name)
            except Killed:
                deaths += 1
                world.restart(name)
        if request.ceremony.state != OPEN and not any(world.store(n).sessions.listed() for n in world.names):
            return deaths
    raise AssertionError("not over")


@pytest.mark.parametrize("before", [False, True], ids=["after_commit", "before_commit"])
def test_32_killed_at_every_commit_of_a_ceremony(make_world: Any, before: bool) -> None:
    """One world for each commit that a node makes from the start of the ceremony to its end."""
    commit = 0
    while True:
        commit += 1
        world = make_world("a", "b", "c")
        request = world.open_request()
        world.approve(request)
        killer = with_killer(world, "a", commit, before=before)
        deaths = finish_over_kills(world)
        assert request.state == SUCCEEDED
        roots = {world.nodes[name].keys()[0].root_keys for name in world.names}
        assert len(roots) == 1
        if deaths == 0:
            assert killer.commits < commit
            break
        assert deaths == 1
        world.close()
    # start, four rounds, and what settles deliveries and the end in between
    assert commit > 8


def refresh(world: World) -> Request:
    return world.ask.refresh()


def new_signing_group(world: World) -> Request:
    return world.ask.share_to("signing-1", ["x", "y"])


@pytest.mark.parametrize("before", [False, True], ids=["after_commit", "before_commit"])
@pytest.mark.parametrize(
    ("ask", "victim"),
    [(refresh, "a"), (new_signing_group, "a"), (new_signing_group, "x")],
    ids=["member", "pure_dealer", "pure_receiver"],
)
def test_n13_40_killed_at_every_commit_of_a_reshare(
    make_world: Any, ask: Callable[[World], Request], victim: str, before: bool
) -> None:
    """From the start of the ceremony to the erasure of what it retires: old or new epoch, never neither."""
    commit = 0
    while True:
        commit += 1
        world: World = make_world("a", "b", "c", "x", "y")
        world.keygen(["a", "b", "c"])
        roots = world.roots("b")
        request = ask(world)
        world.approve(request)
        target = request.intent.target
        killer = with_killer(world, victim, commit, before=before)
        deaths = finish_over_kills(world)
        for _ in range(2):
            try:
                world.sync(victim)
            except Killed:
                deaths += 1
                world.restart(victim)
        assert request.state == SUCCEEDED
        assert len(world.epochs(target.group_id)) == target.participants
        assert set(world.epochs(target.group_id).values()) == {target.epoch}
        assert set().union(*map(world.roots, world.names)) == roots
        erased = [each for each in world.store(victim).shares.all() if each.state == ERASED]
        assert len(erased) == (ask is refresh)
        world.close()
        if deaths == 0:
            assert killer.commits < commit
            break
        assert deaths == 1
    assert commit > 8


def test_32_every_node_restarted_between_all_rounds(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    seen: set[int] = set()
    for _ in range(20):
        for name in world.names:
            world.restart(name).sync_once(0)
            seen |= {record.round for record in world.store(name).sessions.listed()}
        if request.ceremony.state != OPEN:
            break
    world.finish(request)
    assert seen == {0, 1, 2, 3, 4}
    assert request.state == SUCCEEDED
    assert len({world.nodes[name].keys()[0].root_keys for name in world.names}) == 1


def test_r23_a_restarted_node_sends_the_same_bytes(world: World) -> None:
    """Each answer is lost on its way, so that everything is sent again after a restart."""
    request = world.open_request()
    world.approve(request)
    sent: dict[tuple[str, int, int], set[bytes]] = {}
    for _ in range(12):
        for name in world.names:
            node = world.nodes[name]
            for message in node.store.sessions.undelivered():
                slot = (name, message.type, message.round)
                sent.setdefault(slot, set()).add(message.envelope)
            node.sync_once(0)
            # What the call delivered is not known to be delivered: the answer got lost with the process.
            node.store.database.execute("UPDATE outgoing SET delivered = 0")
            world.restart(name)
    assert request.state == SUCCEEDED
    assert {slot[2] for slot in sent} == {0, 1, 2, 3}
    assert all(len(envelopes) == 1 for envelopes in sent.values())
    # The mailbox saw repeats, and each was the same.
    messages = [message for _, body in world.mailbox.calls for message in body["messages"]]
    assert len(messages) > len(set(messages)) == 12


def test_a_damaged_session_state_ends_the_session_with_a_reason(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    world.sync("a")
    database = world.store("a").database
    sealed = world.store("a").sessions.listed()[0].sealed
    database.execute("UPDATE sessions SET sealed = ?", (sealed[:-1] + bytes([sealed[-1] ^ 1]),))
    world.restart("a")
    for _ in range(6):
        world.sync()
    assert request.ceremony.reason == "sealed_corrupt"
    assert request.ceremony.said().blamed == 0
    assert Envelope.parse(request.ceremony.aborts[0][1]).type == ABORT


def test_r23_an_ended_session_leaves_no_secret_state(world: World) -> None:
    world.keygen()
    for name in world.names:
        database = world.store(name).database
        assert database.rows("SELECT state, sealed FROM sessions") == [("closed", None)]
        assert database.rows("SELECT COUNT(*) FROM outgoing") == [(0,)]
        assert database.rows("SELECT COUNT(*) FROM incoming") == [(0,)]


def test_compute_time_is_recorded(world: World) -> None:
    world.keygen()
    micros = world.store("a").database.rows("SELECT compute_us FROM sessions")[0][0]
    assert 0 < micros < 10_000_000
