"""R26: what a node is bound by once it signed, and how it gets free of it again."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from signers.set_rules import ABANDONED, ACTIVATED, ERASED, FINAL, PREPARED
from tests.signers.ceremonies import Answers, on_round, resigned, run_out, until_round
from tests.signers.mailbox import FAILED, SUCCEEDED, Request
from tests.signers.world import GROUP, World
from wire.canonical import canonical_bytes
from wire.envelope import Envelope
from wire.set_statement import SetStatement

pytestmark = pytest.mark.slow


def refreshing(world: World) -> Request:
    """A key of everybody, and a Refresh that everybody approved; its ceremony waits in the mailbox."""
    world.keygen()
    request = world.ask.refresh()
    world.approve(request)
    return request


def states(world: World, name: str, epoch: int = 2) -> list[str]:
    """Of the sets of one epoch, in the order in which the node prepared them."""
    held = [each for each in world.store(name).shares.of_group(GROUP) if each.epoch == epoch]
    return [each.state for each in sorted(held, key=lambda each: each.number)]


def session_states(world: World, name: str) -> list[str]:
    return [record.state for record in world.store(name).sessions.listed()]


def withhold(world: World, round: int, *names: str) -> None:
    """These nodes are not shown the messages of a round, nor how the ceremony ends."""
    ids = [world.node_id(name) for name in names]

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id in ids:
            answer["messages"] = [each for each in answer["messages"] if each["round"] != round]
            answer["ended"], answer["certificates"] = [], []

    world.mailbox.tamper = tamper


def all_activated(world: World) -> Request:
    """Everybody has activated a refreshed set, and nobody is shown the last round."""
    request = refreshing(world)
    withhold(world, 3, *world.names)
    for name in world.names:
        until_round(world, name, 3)
    world.sync()
    assert {state for name in world.names for state in states(world, name)} == {ACTIVATED}
    return request


def old_set_is_whole(world: World) -> bool:
    return all(states(world, name, epoch=1) == [FINAL] for name in world.names)


def test_39_n12_one_node_says_no_after_the_others_confirmed(world: World) -> None:
    """Node a is shown a broken message in round 2 and leaves; b and c hold all prepared signatures."""
    request = refreshing(world)
    happened = on_round(
        world, "a", 2, lambda each: [resigned(world, "b", each[0], body=bytes(97)), *each[1:]]
    )
    run_out(world, request)
    for _ in range(3):
        world.sync()
    assert happened
    assert request.ceremony.state == FAILED
    assert [states(world, name) for name in "abc"] == [[ABANDONED], [ACTIVATED], [ACTIVATED]]
    # Nobody erases anything, and a's signed word is with the coordinator.
    assert old_set_is_whole(world)
    assert [(each.state, each.node_id) for each in world.mailbox.statements] == [
        (ABANDONED, world.node_id("a"))
    ]
    # The way on: in round 0 of the next attempt a shows its word, so b and c need not wait.
    world.mailbox.tamper = None
    world.mailbox.attempt(request)
    world.finish(request)
    world.sync()
    assert request.state == SUCCEEDED
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}
    # What the failed attempt left is gone with the old set.
    assert all(states(world, name) == [ERASED, FINAL] for name in "abc")


def test_r26_nobody_goes_on_from_a_set_that_everybody_activated(world: World) -> None:
    request = all_activated(world)
    first = request.ceremony
    second = world.mailbox.attempt(request)
    for _ in range(4):
        world.sync()
    assert (second.state, second.reason) == (FAILED, "set_undecided")
    assert old_set_is_whole(world)
    # The first attempt ends well as soon as its messages are delivered, late as they are.
    world.mailbox.tamper = None
    for _ in range(4):
        world.sync()
    assert first.state == SUCCEEDED
    assert all(states(world, name) == [FINAL] for name in world.names)


def test_r26_a_prepared_set_is_abandoned_before_another_attempt(world: World) -> None:
    request = refreshing(world)
    withhold(world, 2, *world.names)
    for name in world.names:
        until_round(world, name, 2)
    assert states(world, "a") == [PREPARED]
    request.ceremony.state = FAILED
    world.mailbox.tamper = None
    world.mailbox.attempt(request)
    world.sync("a")
    assert states(world, "a") == [ABANDONED]
    assert [each.state for each in world.store("a").statements.abandoned_in(GROUP)] == [ABANDONED]
    # Not even all messages of the first attempt bring it back.
    request.ceremonies[0].state = "open"
    for _ in range(3):
        world.sync("a")
    assert states(world, "a")[0] == ABANDONED
    request.ceremonies[0].state = FAILED
    world.finish(request)
    assert all(states(world, name)[-1] == FINAL for name in world.names)


def test_r26_a_forged_statement_frees_nobody(world: World) -> None:
    """Whoever relays a's `abandoned` without a's signature convinces nobody."""
    request = all_activated(world)
    store = world.store("b")
    session_id = request.ceremony.session_id
    store.database.execute(
        "INSERT INTO statements (session_id, node_id, state, group_id, statement, delivered)"
        " VALUES (?, ?, 'abandoned', ?, ?, 1)",
        (session_id, world.node_id("a"), GROUP, _unsigned(world, session_id)),
    )
    second = world.mailbox.attempt(request)
    for _ in range(4):
        world.sync()
    assert second.state == FAILED
    assert world.store("c").statements.abandoned_by(session_id) == frozenset()
    assert old_set_is_whole(world)


def _unsigned(world: World, session_id: str) -> str:
    statement = SetStatement(
        "abandoned", "vault-1", GROUP, 2, bytes.fromhex(session_id), world.node_id("a"), 1, bytes(64)
    )
    return canonical_bytes(statement.to_json()).decode()


@pytest.mark.parametrize("round", [2, 3])
def test_r26_a_bound_session_outlives_the_deadline(world: World, round: int) -> None:
    request = refreshing(world)
    withhold(world, round, "a")
    until_round(world, "a", round)
    store = world.store("a")
    store.database.execute("UPDATE sessions SET started_at = started_at - ?", (11 * 60 * 1000,))
    world.sync("a")
    assert session_states(world, "a") == ["waiting"]
    assert request.ceremony.aborts == []
    # Another ceremony of the vault could run meanwhile (R24).
    assert store.sessions.running_in_vault("vault-1") is None
    world.mailbox.tamper = None
    world.finish(request)
    assert request.state == SUCCEEDED
    assert states(world, "a") == [FINAL]


@pytest.mark.parametrize("round", [2, 3])
def test_r26_a_bound_session_outlives_a_restart_and_a_peers_abort(world: World, round: int) -> None:
    request = refreshing(world)
    withhold(world, round, "a")
    until_round(world, "a", round)
    for _ in range(2):
        world.sync("b", "c")
    lie = {"session_id": request.ceremony.session_id, "state": "failed", "reason": "x", "certificate": None}

    def tamper(node_id: str, answer: Answers) -> None:
        answer["messages"], answer["ended"] = [], [lie]

    world.mailbox.tamper = tamper
    world.sync("a")
    assert session_states(world, "a") == ["waiting"]
    world.restart("a")
    world.sync("a")
    assert session_states(world, "a") == ["waiting"]
    world.mailbox.tamper = None
    world.finish(request)
    assert states(world, "a") == [FINAL]


def test_r13_rejecting_before_activated_abandons_the_set(world: World) -> None:
    request = refreshing(world)
    withhold(world, 2, "a")
    until_round(world, "a", 2)
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    world.nodes["a"].reject(record, "stop")
    assert states(world, "a") == [ABANDONED]
    world.mailbox.tamper = None
    for _ in range(4):
        world.sync()
    assert states(world, "a") == [ABANDONED]
    assert old_set_is_whole(world)
    assert [each.node_id for each in world.mailbox.statements] == [world.node_id("a")]


def test_r13_rejecting_after_activated_comes_too_late(world: World) -> None:
    """Its signature may be with the others already: the node cannot say that the set will never be."""
    request = all_activated(world)
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    world.nodes["a"].reject(record, "stop")
    assert states(world, "a") == [ACTIVATED]
    assert world.store("a").statements.undelivered() == []
    world.mailbox.tamper = None
    for _ in range(4):
        world.sync()
    assert states(world, "a") == [FINAL]


def test_r26_an_activated_key_gen_is_never_tried_again(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    withhold(world, 3, *world.names)
    for name in world.names:
        until_round(world, name, 3)
    world.mailbox.attempt(request)
    world.sync()
    world.sync()
    assert {code for code, _ in request.refusals.values()} == {"group_has_key"}
    assert all(states(world, name, epoch=1) == [ACTIVATED] for name in world.names)


def test_n11_a_reshare_that_would_change_the_key_ends_and_the_old_shares_stay(world: World) -> None:
    """A dealer deals something else than its share: it cannot open what it committed to."""
    request = refreshing(world)
    keys = world.nodes["a"].keys()

    def change(envelopes: list[str]) -> list[str]:
        body = bytearray(Envelope.parse(b64decode(envelopes[0])).body)
        # The sign of the first commitment's point: still a point, of another key.
        at = next(i for i in range(64, 90) if body[i] in (2, 3))
        body[at] ^= 1
        return [resigned(world, "b", envelopes[0], body=bytes(body)), *envelopes[1:]]

    happened = on_round(world, "a", 1, change)
    run_out(world, request)
    assert happened
    assert request.ceremony.state == FAILED
    assert request.ceremony.said().blamed == 2
    assert old_set_is_whole(world)
    assert world.nodes["a"].keys() == keys


def test_n22_one_ceremony_at_a_time_for_a_vault(world: World) -> None:
    world.keygen()
    first, second = world.ask.refresh(), world.ask.refresh()
    world.approve(first)
    world.approve(second)
    world.sync()
    world.sync()
    for name in world.names:
        running = [each for each in world.store(name).sessions.listed() if each.state == "running"]
        assert [each.digest for each in running] == [first.digest]
    assert {code for code, _ in second.refusals.values()} == {"vault_busy"}
    for _ in range(6):
        world.sync()
    assert first.state == SUCCEEDED
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}


def test_n22_ceremonies_of_two_vaults_run_side_by_side(world: World) -> None:
    manifests = [
        world.manifest(),
        world.manifest(vault_id="vault-2", group_id="group-2"),
    ]
    requests = [world.open_request(manifest=manifest) for manifest in manifests]
    for request in requests:
        world.approve(request)
    seen: set[Any] = set()
    for _ in range(8):
        world.sync()
        running = world.store("a").sessions.listed()
        seen.add(len([each for each in running if each.state == "running"]))
    assert 2 in seen
    assert [request.state for request in requests] == [SUCCEEDED, SUCCEEDED]
    assert len(world.nodes["a"].keys()) == 2


def hide(world: World, request: Request, round: int, *names: str) -> None:
    """These nodes are never shown this round of the request's ceremony, and the others not its last."""
    session_id = request.ceremony.session_id
    ids = [world.node_id(name) for name in names]

    def tamper(node_id: str, answer: Answers) -> None:
        hidden = round if node_id in ids else 3
        answer["messages"] = [
            each for each in answer["messages"] if each["session_id"] != session_id or each["round"] < hidden
        ]
        if request.state == FAILED:
            over = {"session_id": session_id, "state": FAILED, "reason": "", "certificate": None}
            answer["ended"] = [*answer["ended"], over]

    world.mailbox.tamper = tamper


def undecided_group(world: World, round: int) -> None:
    """Main of a and b dealt to x and y, who see nothing from this round on; then it is given up."""
    world.keygen("ab")
    request = world.ask.share_to("signing-1", ["x", "y"])
    world.approve(request)
    hide(world, request, round, "x", "y")
    for _ in range(8):
        world.sync()
    assert [world.store(name).sessions.listed()[0].round for name in "ab"] == [3, 3]
    request.ceremony.state, request.state = FAILED, FAILED
    world.sync()
    assert session_states(world, "a") == session_states(world, "b") == ["waiting"]


def test_r26_whoever_only_deals_is_bound_by_its_activated_too(make_world: Callable[..., World]) -> None:
    """The coordinator hides how the shares for x and y came out, and asks the same dealers for another set of
    the same group, for z and w, who are bound by nothing."""
    world = make_world(*"abxyzw")
    undecided_group(world, 3)
    second = world.ask.share_to("signing-1", ["z", "w"])
    world.approve(second)
    run_out(world, second)
    assert (second.state, second.ceremony.reason) == ("open", "set_undecided")
    assert world.epochs("signing-1") == {}


def test_r26_whoever_only_deals_is_free_when_the_set_is_abandoned(make_world: Callable[..., World]) -> None:
    """As before, but x and y never activated: they join the second set, and show that they gave the first
    one up."""
    world = make_world(*"abxy")
    undecided_group(world, 2)
    second = world.run(world.ask.share_to("signing-1", ["x", "y"]))
    assert second.state == SUCCEEDED
    assert world.epochs("signing-1") == {"x": 1, "y": 1}
