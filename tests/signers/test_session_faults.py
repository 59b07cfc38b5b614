"""Hostile mailbox, hostile peer: each fault ends in a code, a signed ABORT and no share (docs/attacks.md,
N02-N06).

The numbers in the names are those of docs/attacks.md.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.signers.ceremonies import (
    BOUND,
    EVERY_ROUND,
    LAST,
    Answers,
    aborted,
    changed,
    ends_with,
    on_round,
    resigned,
    run_out,
    running,
)
from tests.signers.mailbox import FAILED, OPEN, ROUNDS, SUCCEEDED
from tests.signers.world import World
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_01_a_wrong_signature(world: World, round: int) -> None:
    request = running(world)
    happened = on_round(world, "a", round, lambda each: [changed(each[0], signature=bytes(64)), *each[1:]])
    ends_with(world, request, round, "bad_signature")
    assert happened


def test_02_a_signer_who_is_not_in_the_roster(world: World, make_world: Any) -> None:
    stranger = make_world("x")
    request = running(world)
    happened = on_round(world, "a", 0, lambda each: [resigned(stranger, "x", each[0]), *each[1:]])
    run_out(world, request)
    assert happened
    assert aborted(world) == "bad_signature"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"session_id": bytes(32)}, "wrong_session"),
        ({"protocol": "refresh/1"}, "wrong_protocol"),
        ({"round": 1}, "bad_signature"),
        ({"sender": 3}, "bad_signature"),
        ({"sender": 9}, "unknown_sender"),
        ({"recipient": 3}, "wrong_recipient"),
        ({"recipient": 1}, "wrong_recipient"),
        ({"type": ABORT}, "wrong_envelope_type"),
        ({"body": b"another body"}, "bad_signature"),
    ],
)
def test_03_an_altered_header_field(world: World, fields: dict[str, Any], code: str) -> None:
    request = running(world)
    happened = on_round(world, "a", 0, lambda each: [changed(each[0], **fields), *each[1:]])
    run_out(world, request)
    assert happened
    assert aborted(world) == code


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_05_truncated_and_extended_envelopes(world: World, round: int) -> None:
    request = running(world)
    happened = on_round(world, "a", round, lambda each: [each[0][: len(each[0]) // 8 * 4], *each[1:]])
    ends_with(world, request, round, "bad_envelope")
    assert happened


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_06_the_same_message_twice_counts_once(world: World, round: int) -> None:
    request = running(world)
    happened = on_round(world, "a", round, lambda each: [*each, *each])
    world.finish(request)
    assert happened
    assert request.state == SUCCEEDED


def test_06_rounds_replayed_later_change_nothing(world: World) -> None:
    """Every old round is shown again with each answer."""
    request = running(world)
    seen: list[Answers] = []

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("a"):
            new = list(answer["messages"])
            answer["messages"] = [*seen, *new]
            seen.extend(new)

    world.mailbox.tamper = tamper
    world.finish(request)
    assert len(seen) == ROUNDS
    assert request.state == SUCCEEDED


def test_07_messages_of_another_attempt(world: World) -> None:
    request = running(world)
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
    rows = world.store("a").database.rows("SELECT code FROM sessions WHERE attempt = 2")
    assert rows == [("wrong_session",)]


def test_07_a_message_of_another_round(world: World) -> None:
    request = running(world)

    def earlier(envelopes: list[str]) -> list[str]:
        old = request.ceremony.slots[(ROUND_MESSAGE, 0, 2, 0)]
        return [b64encode(old).decode(), *envelopes[1:]]

    happened = on_round(world, "a", 1, earlier)
    run_out(world, request)
    assert happened
    assert aborted(world) == "wrong_round"


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_08_a_reflected_own_message(world: World, round: int) -> None:
    request = running(world)

    def reflect(envelopes: list[str]) -> list[str]:
        own = next(data for slot, data in request.ceremony.slots.items() if slot[1] == round and slot[2] == 1)
        return [*envelopes, b64encode(own).decode()]

    happened = on_round(world, "a", round, reflect)
    ends_with(world, request, round, "reflected_message")
    assert happened


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_10_two_messages_for_one_slot_are_evidence_against_their_sender(world: World, round: int) -> None:
    request = running(world)
    happened = on_round(
        world, "a", round, lambda each: [*each, resigned(world, "b", each[0], body=b"something else")]
    )
    run_out(world, request)
    world.sync("a")
    assert happened
    assert "equivocation" in [entry.code for entry in world.store("a").log_entries()]
    if round < LAST:
        # In the last round the two others may have finished with b's good message before node a's word
        # arrives.
        assert aborted(world) == "equivocation"
        assert request.ceremony.said().blamed == 2
    (evidence,) = world.store("a").evidence.of_session(request.ceremony.session_id)
    assert evidence.kind == "equivocation"
    first, second = Envelope.parse(evidence.first), Envelope.parse(evidence.second)
    assert first.slot == second.slot
    assert first.body != second.body
    key = world.card("b").signing_key
    assert first.verify(key)
    assert second.verify(key)


def test_10_a_second_message_for_a_slot_of_an_earlier_round(world: World) -> None:
    request = running(world)

    def tamper(node_id: str, answer: Answers) -> None:
        late = [entry for entry in answer["messages"] if entry["round"] == 2]
        if node_id == world.node_id("a") and late:
            old = request.ceremony.slots[(ROUND_MESSAGE, 1, 2, 0)]
            other = resigned(world, "b", b64encode(old).decode(), body=b"second thoughts")
            late[0].update(round=1, envelopes=[other])

    world.mailbox.tamper = tamper
    run_out(world, request)
    assert aborted(world) == "equivocation"


def test_11_reordered_messages_are_harmless(world: World) -> None:
    request = running(world)
    happened = [on_round(world, "a", 1, lambda each: each[::-1])]
    world.finish(request)
    assert happened[0]
    assert request.state == SUCCEEDED


def test_11_dropped_messages_are_waited_for(world: World) -> None:
    request = running(world)
    dropped: list[int] = []

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("a") and answer["messages"] and len(dropped) < 5:
            dropped.append(answer["messages"][0]["round"])
            answer["messages"][0]["envelopes"].pop()

    world.mailbox.tamper = tamper
    world.finish(request, limit=40)
    assert len(dropped) == 5
    assert request.state == SUCCEEDED


def test_11_rounds_that_come_too_early_are_not_taken(world: World) -> None:
    request = running(world)
    happened: list[int] = []

    def tamper(node_id: str, answer: Answers) -> None:
        for entry in answer["messages"]:
            if node_id == world.node_id("a") and len(happened) < 3:
                happened.append(entry["round"])
                entry["round"] += 1

    world.mailbox.tamper = tamper
    world.finish(request, limit=40)
    assert len(happened) == 3
    assert request.state == SUCCEEDED


@pytest.mark.parametrize("round", [0, 1, 2])
def test_13_n02_two_nodes_shown_different_broadcasts_notice_it(world: World, round: int) -> None:
    """A corrupted b signs two valid messages for one round: node a gets one, node c the other."""
    request = running(world)
    twin = world.folder / "twin"
    twin.mkdir()
    happened: list[str] = []

    def tamper(node_id: str, answer: Answers) -> None:
        for entry in answer["messages"]:
            if entry["round"] == round and node_id == world.node_id("a"):
                at = next(
                    i
                    for i, each in enumerate(entry["envelopes"])
                    if Envelope.parse(b64decode(each)).sender == 2
                )
                body = bytearray(Envelope.parse(b64decode(entry["envelopes"][at])).body)
                # The nonce of round 0, the entropy of round 1, the signature of round 2 follow the 32-byte
                # echo.
                body[40] ^= 1
                entry["envelopes"][at] = resigned(world, "b", entry["envelopes"][at], body=bytes(body))
                happened.append(node_id)

    world.mailbox.tamper = tamper
    run_out(world, request)
    assert happened
    assert request.ceremony.state == FAILED
    assert not any(world.store(name).shares.final() for name in world.names)


def test_13_n02_nodes_given_different_rosters_never_meet(world: World) -> None:
    """Node c approves another roster; its approval is for another digest, and the others refuse to start."""
    request = world.open_request()
    other = world.request(manifest=world.manifest(["b", "a", "c"]), nonce=request.intent.nonce)

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("c"):
            for shown in answer["requests"]:
                shown["documents"].update(other.texts())

    world.mailbox.tamper = tamper
    world.approve(request, "a", "b")
    world.sync("c")
    node = world.nodes["c"]
    record = node.store.requests.get(other.digest)
    assert record is not None
    approval = node.approve(record)
    request.decisions[node.identity.node_id] = approval
    world.mailbox.attempt(request)
    world.sync("a")
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "approval_of_other_request"


@pytest.mark.parametrize("round", EVERY_ROUND)
def test_14_an_oversize_message(world: World, round: int) -> None:
    """One body above the limit, as a hostile mailbox can serve it."""
    request = running(world)
    huge = b64encode(bytes(3 << 20)).decode()
    happened = on_round(world, "a", round, lambda each: [huge, *each])
    ends_with(world, request, round, "bad_envelope")
    assert happened


def test_n06_an_answer_as_large_as_a_node_reads(world: World) -> None:
    """Whatever is larger is dropped by the HTTP client (test_transport)."""
    request = running(world)
    huge = "A" * (12 << 20)
    happened = on_round(world, "a", 1, lambda each: [huge, *each])
    run_out(world, request)
    assert happened
    assert aborted(world) == "bad_envelope"


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_n06_random_bytes_in_any_round(make_world: Callable[..., World], data: st.DataObject) -> None:
    """Signed garbage of a real member, or unsigned garbage: the node leaves the session and goes on
    living."""
    world = make_world("a", "b")
    request = running(world)
    round = data.draw(st.integers(0, ROUNDS - 1), label="round")
    garbage = data.draw(st.binary(max_size=400), label="garbage")
    how = data.draw(st.sampled_from(["body", "envelope", "flip", "cut", "pad"]), label="how")

    def change(envelopes: list[str]) -> list[str]:
        raw = b64decode(envelopes[0])
        body = Envelope.parse(raw).body
        at = len(garbage) % len(body)
        if how == "envelope":
            return [b64encode(garbage).decode()]
        if how == "body":
            body = garbage
        elif how == "flip":
            body = body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :]
        elif how == "cut":
            body = body[:at]
        else:
            body = body + garbage + b"\0"
        return [resigned(world, "b", envelopes[0], body=body)]

    happened = on_round(world, "a", round, change)
    run_out(world, request)
    assert happened
    world.mailbox.tamper = None
    if round < BOUND or (round < LAST and how != "envelope"):
        assert request.ceremony.state == FAILED
        assert world.store("a").sessions.listed() == [] or aborted(world)
        assert not world.store("a").shares.final()
        # The node is not hurt: its next attempt runs.
        world.sync()
        world.mailbox.attempt(request)
        if world.store("b").shares.of_group("group-1"):
            # Node b may hold all prepared signatures, so no other attempt may run for this group (R26).
            run_out(world, request)
            assert (request.state, request.ceremony.reason) in ((SUCCEEDED, ""), (OPEN, "group_has_key"))
            return
    world.finish(request)
    assert request.state == SUCCEEDED
    held = world.store("a").shares.of_group("group-1")[-1]
    # A member that signs garbage in the last round can keep node a from the certificate, not make it lose its
    # share.
    assert held.state == "final" or (round == LAST and held.state == "activated" and how != "envelope")


def test_r22_a_malformed_body_blames_its_signer(world: World) -> None:
    request = running(world)
    happened = on_round(
        world, "a", 1, lambda each: [resigned(world, "b", each[0], body=b"no deal"), *each[1:]]
    )
    run_out(world, request)
    assert happened
    assert request.ceremony.said().blamed == 2
    assert aborted(world) == "malformed_message"
