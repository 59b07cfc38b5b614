"""N02, N03, N05: nodes that are shown different things stop before harm and keep what proves it (R22)."""

from base64 import b64decode, b64encode

import pytest

from signers.evidence import EQUIVOCATION, FAULT, SEEN, SPLIT_VIEW, EvidencePair
from signers.set_rules import FINAL
from tests.signers.ceremonies import EVERY_ROUND, LAST, on_round, resigned, run_out, running
from tests.signers.mailbox import FAILED, SUCCEEDED, Request
from tests.signers.test_share_sets import old_set_is_whole, refreshing
from tests.signers.world import World
from wire.envelope import ROUND_MESSAGE, Envelope

pytestmark = pytest.mark.slow


def evidence(world: World, name: str, request: Request) -> list[EvidencePair]:
    return world.store(name).evidence.of_session(request.ceremony.session_id)


def is_signed(world: World, request: Request, data: bytes) -> bool:
    envelope = Envelope.parse(data)
    return any(envelope.verify(each.verify_key) for each in request.ceremony.context.participants)


def twin(world: World, envelope: str) -> str:
    """Another message that b signs for the same slot."""
    body = bytearray(Envelope.parse(b64decode(envelope)).body)
    # The nonce of round 0, the salt of round 1, the signatures of 2 and 3 follow the 32-byte echo.
    body[40] ^= 1
    return resigned(world, "b", envelope, body=bytes(body))


def from_b(envelopes: list[str]) -> int:
    return next(at for at, each in enumerate(envelopes) if Envelope.parse(b64decode(each)).sender == 2)


def tell_a_something_else(world: World, round: int) -> list[int]:
    def change(envelopes: list[str]) -> list[str]:
        at = from_b(envelopes)
        return [*envelopes[:at], twin(world, envelopes[at]), *envelopes[at + 1 :]]

    return on_round(world, "a", round, change)


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_n03_an_equivocating_broadcast_in_each_round(world: World, round: int) -> None:
    """b tells a one thing and c another, each under its signature."""
    request = refreshing(world)
    happened = tell_a_something_else(world, round)
    for _ in range(10):
        world.sync()
    assert happened
    kept = {name: evidence(world, name, request) for name in "ac"}
    pairs = [*kept["a"], *kept["c"]]
    assert pairs
    assert all(is_signed(world, request, each) for pair in pairs for each in (pair.first, pair.second))
    if round < LAST:
        assert request.ceremony.state == FAILED
        assert old_set_is_whole(world)
        assert not any(each.epoch == 2 for name in "abc" for each in world.store(name).shares.final())
    else:
        # A bad signature in the last round keeps nobody from the certificate that b's good one completes.
        assert request.state == SUCCEEDED
        assert world.epochs() == {"a": 2, "b": 2, "c": 2}
    expected = {0: SPLIT_VIEW, 1: FAULT, 2: FAULT, 3: FAULT}[round]
    # And what it was shown goes to the coordinator, which has the other half.
    assert {pair.kind for pair in kept["a"]} == {expected, SEEN}
    assert SEEN in {each["kind"] for each in world.mailbox.evidence}


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_n03_both_messages_of_a_slot_are_kept_and_handed_in(world: World, round: int) -> None:
    request = running(world)
    on_round(world, "a", round, lambda each: [*each, twin(world, each[from_b(each)])])
    for _ in range(10):
        world.sync()
    (pair,) = evidence(world, "a", request)
    assert pair.kind == EQUIVOCATION
    assert Envelope.parse(pair.first).slot == Envelope.parse(pair.second).slot
    assert is_signed(world, request, pair.first)
    assert is_signed(world, request, pair.second)
    handed_in = [(each["kind"], b64decode(each["first"])) for each in world.mailbox.evidence]
    assert handed_in.count((EQUIVOCATION, pair.first)) == 1
    # Kept for ever, whatever the coordinator has.
    world.restart("a")
    assert evidence(world, "a", request) == [pair]


@pytest.mark.parametrize("round", EVERY_ROUND)
@pytest.mark.parametrize("field", ["session_id", "protocol"])
def test_n02_a_message_for_another_view_of_the_attempt_is_evidence(
    world: World, round: int, field: str
) -> None:
    """b was shown another roster or digest: what it signs names another session."""
    request = refreshing(world)
    other = {"session_id": bytes(range(32)), "protocol": "keygen/1"}[field]

    def change(envelopes: list[str]) -> list[str]:
        at = from_b(envelopes)
        foreign = resigned(world, "b", envelopes[at], **{field: other})
        return [*envelopes[:at], foreign, *envelopes[at + 1 :]]

    happened = on_round(world, "a", round, change)
    for _ in range(10):
        world.sync()
    assert happened
    (pair,) = evidence(world, "a", request)
    assert pair.kind == SPLIT_VIEW
    assert Envelope.parse(pair.first).sender == 1
    assert getattr(Envelope.parse(pair.second), field) == other
    assert [each["kind"] for each in world.mailbox.evidence] == [SPLIT_VIEW]
    if round < 2:
        assert request.ceremony.state == FAILED
        # Nobody is blamed: the messenger chooses what it shows.
        assert request.ceremony.said().blamed == 0
        assert old_set_is_whole(world)
    else:
        assert request.state == SUCCEEDED


def test_n05_a_message_of_an_earlier_attempt_is_no_evidence(world: World) -> None:
    request = refreshing(world)
    world.sync()
    world.sync()
    first = request.ceremony
    first.state = FAILED
    world.mailbox.attempt(request)
    replayed = [b64encode(each).decode() for each in first.round_for(1, 0) or []]
    assert len(replayed) == 2
    happened = on_round(world, "a", 0, lambda each: replayed)
    run_out(world, request)
    assert happened
    assert world.store("a").evidence.all() == []
    assert old_set_is_whole(world)


def test_n05_a_message_of_another_vault_is_dropped(world: World) -> None:
    other = world.open_request(manifest=world.manifest(vault_id="vault-2", group_id="group-2"))
    world.approve(other)
    world.sync()
    world.sync()
    foreign = b64encode(other.ceremony.slots[(ROUND_MESSAGE, 0, 2, 0)]).decode()
    request = running(world)
    happened = on_round(
        world, "a", 0, lambda each: [foreign if at == from_b(each) else one for at, one in enumerate(each)]
    )
    for _ in range(10):
        world.sync()
    assert happened
    assert not world.store("a").evidence.of_session(request.ceremony.session_id)


def test_n04_a_message_that_names_another_sender_than_its_signer_is_dropped(world: World) -> None:
    """c signs a message in the name of b."""
    request = refreshing(world)

    def change(envelopes: list[str]) -> list[str]:
        at = from_b(envelopes)
        return [*envelopes[:at], resigned(world, "c", envelopes[at]), *envelopes[at + 1 :]]

    happened = on_round(world, "a", 0, change)
    run_out(world, request)
    assert happened
    assert request.ceremony.reason == "bad_signature"
    assert request.ceremony.said().blamed == 0
    assert world.store("a").evidence.all() == []


def test_no_evidence_holds_a_secret(world: World) -> None:
    """What is kept are bodies that were broadcast anyway."""
    request = refreshing(world)
    tell_a_something_else(world, 0)
    for _ in range(8):
        world.sync()
    broadcast = set(request.ceremony.slots.values())
    pairs = [pair for name in "abc" for pair in evidence(world, name, request)]
    assert pairs
    assert all({pair.first, pair.second} <= broadcast for pair in pairs if pair.kind == SPLIT_VIEW)
    assert all(repr(pair).find("first=") < 0 for pair in pairs)
    assert {record.state for name in "abc" for record in world.store(name).shares.all()} == {FINAL}
