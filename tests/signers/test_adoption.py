"""R26: a node that missed the end of a ceremony becomes a holder all the same, by messages or certificate."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from mpc.certificate import Certificate
from signers.set_rules import ACTIVATED, FINAL, PREPARED
from tests.signers.ceremonies import Answers, until_round
from tests.signers.mailbox import FAILED, SUCCEEDED
from tests.signers.test_share_sets import refreshing, session_states, states, withhold
from tests.signers.world import GROUP, World

pytestmark = pytest.mark.slow


def missed_the_end(world: World, round: int) -> Any:
    """Node a sees nothing from `round` on; b and c finish if they can."""
    request = refreshing(world)
    withhold(world, round, "a")
    until_round(world, "a", round)
    for _ in range(3):
        world.sync()
    assert request.state == SUCCEEDED
    return request


def test_the_messages_of_the_last_round_come_late(world: World) -> None:
    missed_the_end(world, 3)
    assert states(world, "a") == [ACTIVATED]
    # Nothing is retired before the certificate is here.
    assert states(world, "a", epoch=1) == [FINAL]
    world.mailbox.tamper = None
    world.sync("a")
    assert states(world, "a") == [FINAL]


def test_the_certificate_comes_instead_of_the_messages(world: World) -> None:
    request = missed_the_end(world, 3)
    request.ceremony.slots.clear()
    world.mailbox.tamper = None
    world.sync("a")
    assert states(world, "a") == [FINAL]
    world.sync("a")
    assert session_states(world, "a") == []
    assert states(world, "a", epoch=1) == ["erased"]


def test_the_certificate_comes_unasked(world: World) -> None:
    """The coordinator has forgotten the ceremony, and shows the newest set of the group (R30)."""
    request = missed_the_end(world, 3)

    def only_certificates(node_id: str, answer: Answers) -> None:
        answer["messages"], answer["ended"] = [], []
        answer["certificates"] = [b64encode(request.ceremony.certificate).decode()]

    world.mailbox.tamper = only_certificates
    world.restart("a")
    world.sync("a")
    assert states(world, "a") == [FINAL]
    assert world.nodes["a"].keys()[0].root_keys == world.nodes["b"].keys()[0].root_keys


def test_a_failed_ceremony_goes_on_when_its_last_messages_come(world: World) -> None:
    """Nobody's activated was delivered in time; the coordinator gave up, and hears them later."""
    request = refreshing(world)
    withhold(world, 2, *world.names)
    for name in world.names:
        until_round(world, name, 2)
    world.sync()
    request.ceremony.state = FAILED
    assert request.ceremony.adoptable
    world.mailbox.tamper = None
    for _ in range(5):
        world.sync()
    assert request.state == SUCCEEDED
    assert all(states(world, name) == [FINAL] for name in world.names)


@pytest.mark.parametrize("change", ["epoch", "attempt", "manifest_hash"])
def test_a_certificate_of_another_set_is_not_adopted(world: World, change: str) -> None:
    request = missed_the_end(world, 3)
    certificate = Certificate.parse(request.ceremony.certificate)
    context = certificate.statement.context
    value: Any = bytes(32) if change == "manifest_hash" else getattr(context, change) + 1
    other = replace(certificate.statement, context=replace(context, **{change: value}))
    forged = replace(certificate, statement=other).encode()

    def show(node_id: str, answer: Answers) -> None:
        answer["messages"], answer["certificates"] = [], [b64encode(forged).decode()]
        for ended in answer["ended"]:
            ended["certificate"] = b64encode(forged).decode()

    request.ceremony.slots.clear()
    world.mailbox.tamper = show
    for _ in range(3):
        world.sync("a")
    assert states(world, "a") == [ACTIVATED]
    assert session_states(world, "a") in (["running"], ["waiting"])
    # Said once, however often it is shown.
    codes = [entry.code for entry in world.store("a").log_entries()]
    assert 1 <= codes.count("bad_certificate") <= 2
    world.mailbox.tamper = None
    world.sync("a")
    assert states(world, "a") == [FINAL]


def test_a_pure_dealer_learns_how_it_ended(make_world: Any) -> None:
    world: World = make_world("a", "b", "c", "x", "y")
    world.keygen(["a", "b", "c"])
    request = world.ask.share_to("signing-1", ["x", "y"])
    world.approve(request)
    withhold(world, 3, "a")
    until_round(world, "a", 3)
    for _ in range(4):
        world.sync()
    assert request.state == SUCCEEDED
    request.ceremony.slots.clear()
    world.mailbox.tamper = None
    world.sync("a")
    certificate = Certificate.parse(request.ceremony.certificate)
    node = world.nodes["a"]
    assert node.store.anchors.is_trusted(certificate.hash(), node.data_key)
    assert node.store.shares.of_group("signing-1") == []
    record = node.store.requests.get(request.digest)
    assert record is not None
    assert record.result == "succeeded"


def test_a_pure_dealer_is_bound_by_its_signatures(make_world: Any) -> None:
    """It says `abandoned` when it leaves before activated, so that the receivers need not wait for it."""
    world: World = make_world("a", "b", "c", "x", "y")
    world.keygen(["a", "b", "c"])
    request = world.ask.share_to("signing-1", ["x", "y"])
    world.approve(request)
    withhold(world, 2, "a")
    until_round(world, "a", 2)
    for _ in range(3):
        world.sync()
    assert [each.state for each in world.store("x").shares.of_group("signing-1")] == [ACTIVATED]
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    world.nodes["a"].reject(record, "changed my mind")
    world.sync("a")
    assert [each.node_id for each in world.mailbox.statements] == [world.node_id("a")]


def test_a_pure_dealer_abandons_before_another_attempt(make_world: Any) -> None:
    world: World = make_world("a", "b", "c", "x", "y")
    world.keygen(["a", "b", "c"])
    request = world.ask.share_to("signing-1", ["x", "y"])
    world.approve(request)
    withhold(world, 2, "a")
    until_round(world, "a", 2)
    for _ in range(3):
        world.sync()
    assert [each.state for each in world.store("y").shares.of_group("signing-1")] == [ACTIVATED]
    request.ceremony.state = FAILED
    world.mailbox.tamper = None
    world.mailbox.attempt(request)
    # The coordinator opens another attempt, though the first could have ended well.
    request.ceremonies[0].slots.clear()
    world.finish(request)
    assert request.ceremonies[1].state == SUCCEEDED
    assert world.node_id("a") in [each.node_id for each in world.mailbox.statements]
    assert world.epochs("signing-1") == {"x": 1, "y": 1}


def test_the_node_says_which_sets_it_holds(world: World) -> None:
    missed_the_end(world, 3)
    assert world.mailbox.epochs == {
        world.node_id("a"): {GROUP: 1},
        world.node_id("b"): {GROUP: 2},
        world.node_id("c"): {GROUP: 2},
    }
    assert PREPARED not in states(world, "a")
