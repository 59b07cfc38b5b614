"""R30: a node whose store went back is found out, quarantined, and told what to do (N07, N08, test 41)."""

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest

from mpc.dealing_messages import parse_hello
from tests.signers.ceremonies import Answers, resigned, run_out, until_round
from tests.signers.mailbox import FAILED, SUCCEEDED, Request
from tests.signers.test_share_sets import refreshing, states
from tests.signers.world import GROUP, VAULT, World
from wire.envelope import ROUND_MESSAGE, Envelope
from wire.notes import Notes, SetNote

pytestmark = pytest.mark.slow


def rolled_back(world: World) -> None:
    """Node a is restored from a backup of epoch 1 while the group is at epoch 2."""
    world.keygen()
    backup = world.back_up("a")
    world.run(world.ask.refresh())
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}
    world.restore("a", backup)
    assert world.epochs()["a"] == 1


def codes(world: World, name: str) -> list[str]:
    return [entry.code for entry in world.store(name).log_entries()]


def test_n07_41_a_restored_node_is_quarantined_with_an_instruction(world: World) -> None:
    rolled_back(world)
    world.sync("a")
    quarantine = world.store("a").shares.quarantine(VAULT)
    assert quarantine is not None
    assert (quarantine.code, quarantine.epoch) == ("rolled_back", 2)
    assert "Recovery" in quarantine.message
    assert f"quarantine lift {VAULT}" in quarantine.message
    assert codes(world, "a").count("rolled_back") == 1
    # It stays through restarts, and is said once.
    world.restart("a")
    world.sync("a")
    assert world.store("a").shares.quarantine(VAULT) == quarantine
    assert codes(world, "a").count("rolled_back") == 1


def test_n07_a_quarantined_node_does_not_deal(world: World) -> None:
    rolled_back(world)
    world.sync("a")
    request = world.ask.refresh()
    world.approve(request)
    # The coordinator wants it to deal all the same.
    assert world.node_id("a") in request.ceremony.dealers
    run_out(world, request)
    assert request.refusals[world.node_id("a")][0] == "quarantined"


def test_n07_a_quarantined_node_receives_a_new_share_and_is_free_again(world: World) -> None:
    rolled_back(world)
    world.sync("a")
    dealers = (world.node_id("b"), world.node_id("c"), world.node_id("a"))
    request = world.run(world.ask.refresh(eligible=dealers))
    assert world.node_id("a") not in request.ceremony.dealers
    assert world.epochs() == {"a": 3, "b": 3, "c": 3}
    assert world.store("a").shares.quarantine(VAULT) is None
    world.sync("a")
    # Its share of epoch 1 went with what the request retired.
    assert states(world, "a", epoch=1) == ["erased"]


def claim_epoch(world: World, request: Request, epoch: int) -> None:
    """Node b says in round 0 that it holds a final set of this epoch."""
    held = world.store("b").shares.of_group(GROUP)[0]
    later = SetNote(GROUP, epoch, 1, bytes(32), bytes.fromhex(held.session_id), "final")

    def forge(node_id: str, body: Answers) -> None:
        for at, item in enumerate(body["messages"]):
            envelope = Envelope.parse(b64decode(item))
            if node_id == world.node_id("b") and (envelope.type, envelope.round) == (ROUND_MESSAGE, 0):
                hello = parse_hello(request.ceremony.context, envelope.sender, envelope.body)
                notes = replace(Notes.parse(hello.notes), sets=(later,)).encode()
                body["messages"][at] = resigned(world, "b", item, body=replace(hello, notes=notes).encode())

    world.mailbox.forge = forge
    run_out(world, request)
    assert request.ceremony.reason == "behind_peers"
    world.mailbox.forge = None


def test_n08_the_signed_word_of_a_peer_is_enough(world: World) -> None:
    """Everything on disk went back, and the coordinator hides all certificates: round 0 tells."""
    request = refreshing(world)
    claim_epoch(world, request, 7)
    quarantine = world.store("a").shares.quarantine(VAULT)
    assert quarantine is not None
    assert (quarantine.code, quarantine.epoch) == ("behind_peers", 1)
    assert "participant 2" in quarantine.message
    assert "holds epoch 7" in quarantine.message
    assert states(world, "a", epoch=1) == ["final"]


def test_n08_a_peer_that_lied_quarantines_nobody_for_long(world: World) -> None:
    """Whatever epoch it claims, the next set that the node receives shows that nothing was missing."""
    claim_epoch(world, refreshing(world), 2**40)
    assert world.store("a").shares.quarantine(VAULT) is not None
    # One operator sees through it; with this one's share and the liar's a receives a new one.
    world.store("c").shares.lift_quarantine(VAULT)
    dealers = (world.node_id("b"), world.node_id("c"), world.node_id("a"))
    world.run(world.ask.refresh(eligible=dealers))
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}
    assert world.store("a").shares.quarantine(VAULT) is None


def test_n08_an_old_request_does_not_bring_an_old_set_back(world: World) -> None:
    """A coordinator that went back as well shows a request from the set that was retired."""
    world.keygen()
    old = world.mailbox.groups[GROUP]
    world.run(world.ask.refresh())
    world.mailbox.groups[GROUP] = old
    stale = world.ask.refresh()
    world.sync()
    world.sync()
    assert {code for code, _ in stale.refusals.values()} == {"source_superseded"}


def test_n07_a_store_that_went_back_within_a_ceremony_is_found_by_its_certificate(world: World) -> None:
    request = refreshing(world)
    until_round(world, "a", 1)
    backup = world.back_up("a")
    world.finish(request)
    world.restore("a", backup)
    # The mailbox has forgotten the messages; the certificate carries a's own signature.
    request.ceremony.slots.clear()
    world.sync("a")
    quarantine = world.store("a").shares.quarantine(VAULT)
    assert quarantine is not None
    assert quarantine.code == "rolled_back"
    assert "certificate_without_share" not in codes(world, "b")


def test_r30_a_restored_session_says_the_same_bytes_again(world: World) -> None:
    """Its seeds are in the backup: what it sent is what it sends."""
    request = refreshing(world)
    until_round(world, "a", 1)
    backup = world.back_up("a")
    until_round(world, "a", 3)
    world.restore("a", backup)
    world.finish(request)
    assert request.state == SUCCEEDED
    assert world.epochs() == {"a": 2, "b": 2, "c": 2}


def test_r30_a_session_that_begins_anew_after_a_rollback_is_found_out(world: World) -> None:
    """The backup is older than the session: its second hello is another one, and never takes the first's
    place."""
    request = refreshing(world)
    backup = world.back_up("a")
    until_round(world, "a", 1)
    first = request.ceremony.slots[(ROUND_MESSAGE, 0, 1, 0)]
    world.restore("a", backup)
    world.sync("a")
    world.sync("a")
    assert request.ceremony.state == FAILED
    assert request.ceremony.reason == "equivocation of 1"
    assert request.ceremony.slots[(ROUND_MESSAGE, 0, 1, 0)] == first


def test_r30_a_peer_that_has_the_first_message_keeps_both_as_evidence(world: World) -> None:
    """The same with a coordinator that takes the second message and shows it."""
    request = refreshing(world)
    backup = world.back_up("a")
    until_round(world, "b", 1)
    first = request.ceremony.slots[(ROUND_MESSAGE, 0, 1, 0)]
    world.restore("a", backup)
    del request.ceremony.slots[(ROUND_MESSAGE, 0, 1, 0)]
    world.sync("a")
    world.sync("a")
    second = request.ceremony.slots[(ROUND_MESSAGE, 0, 1, 0)]
    assert second != first

    def replay(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("b"):
            entry: dict[str, Any] = {"session_id": request.ceremony.session_id, "round": 0}
            answer["messages"] = [{**entry, "envelopes": [b64encode(second).decode()]}]

    world.mailbox.tamper = replay
    world.sync("b")
    (pair,) = world.store("b").evidence.of_session(request.ceremony.session_id)
    assert (pair.kind, pair.first, pair.second) == ("equivocation", first, second)


def test_the_operator_can_lift_a_quarantine(world: World) -> None:
    rolled_back(world)
    world.sync("a")
    assert world.store("a").shares.lift_quarantine(VAULT)
    assert world.store("a").shares.quarantine(VAULT) is None
    assert not world.store("a").shares.lift_quarantine(VAULT)


def test_a_lifted_quarantine_does_not_make_an_old_share_deal(world: World) -> None:
    """Without the later set there is nothing to deal from, whatever the operator says."""
    rolled_back(world)
    world.sync("a")
    world.store("a").shares.lift_quarantine(VAULT)
    request = world.ask.refresh()
    world.approve(request)
    run_out(world, request)
    assert request.refusals[world.node_id("a")][0] == "no_share"


@pytest.mark.parametrize("claimed", [1, 2])
def test_a_peer_at_the_same_epoch_quarantines_nobody(world: World, claimed: int) -> None:
    world.keygen()
    for _ in range(claimed):
        world.run(world.ask.refresh())
    assert all(world.store(name).shares.quarantines() == [] for name in world.names)
