"""Hostile mailbox, hostile peer: each fault ends in a code, a signed ABORT and no share (mpc-protocols 2.1, N02-N06).

The numbers in the names are those of mpc-protocols 2.1.
"""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mpc.keygen_messages import parse_hello
from tests.signers.mailbox import FAILED, OPEN, ROUNDS, SUCCEEDED, Request
from tests.signers.world import World
from wire.abort import Abort
from wire.approval import REJECT, Approval
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.notes import Notes, SetNote

Answers = dict[str, Any]
EVERY_ROUND = range(ROUNDS)
# In the last round a node has activated its set: bytes that nobody signed no longer make it leave (R26).
LAST = ROUNDS - 1


def running(world: World) -> Request:
    """A request that everybody approved; its ceremony waits in the mailbox."""
    request = world.open_request()
    world.approve(request)
    return request


def run_out(world: World, request: Request, limit: int = 12) -> None:
    """Exchange until the ceremony is over at the mailbox."""
    for _ in range(limit):
        world.sync()
        if request.ceremony.state != OPEN:
            return
    raise AssertionError("the ceremony neither ended nor failed")


def on_round(world: World, name: str, round: int, change: Callable[[list[str]], list[str]]) -> list[int]:
    """Change the envelopes of one round on their way to one node; the list tells how often that happened."""
    happened: list[int] = []

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id != world.node_id(name):
            return
        for entry in answer["messages"]:
            if entry["round"] == round and (round < LAST or len(happened) < 2):
                happened.append(round)
                entry["envelopes"] = change(entry["envelopes"])

    world.mailbox.tamper = tamper
    return happened


def until_round(world: World, name: str, round: int) -> None:
    """Exchange until node `name` waits for the messages of `round`."""
    for _ in range(12):
        if [record.round for record in world.store(name).sessions.listed()] == [round]:
            return
        world.sync()
    raise AssertionError(f"{name} never waited for round {round}")


def aborted(world: World, name: str = "a") -> str:
    """How node `name` noted the end of its only session; no secret of it is left."""
    rows = world.store(name).database.rows("SELECT code, sealed FROM sessions")
    assert len(rows) == 1
    assert rows[0][1] is None
    assert not world.store(name).shares.final()
    return str(rows[0][0])


def ends_with(world: World, request: Request, round: int, code: str) -> None:
    """The fault ends the session; in the last round it is noted, and the key is made all the same."""
    if round < LAST:
        run_out(world, request)
        assert request.ceremony.reason == code
        assert request.ceremony.said().blamed == 0
        assert aborted(world) == code
    else:
        world.finish(request)
        assert request.state == SUCCEEDED
        assert code in [entry.code for entry in world.store("a").log_entries()]
        assert len(world.nodes["a"].keys()) == 1


def changed(envelope: str, **fields: Any) -> str:
    """An envelope with changed fields and the old signature."""
    return b64encode(replace(Envelope.parse(b64decode(envelope)), **fields).encode()).decode()


def resigned(world: World, name: str, envelope: str, **fields: Any) -> str:
    """An envelope with changed fields and a new signature of node `name`."""
    old = Envelope.parse(b64decode(envelope))
    values = {
        each: getattr(old, each)
        for each in ("type", "session_id", "protocol", "round", "sender", "recipient", "body")
    }
    sealed = Envelope.seal(world.nodes[name].identity.sign, **{**values, **fields})
    return b64encode(sealed.encode()).decode()


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
        ({"recipient": 1}, "bad_signature"),
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
        # In the last round the two others may have finished with b's good message before node a's word arrives.
        assert aborted(world) == "equivocation"
        assert request.ceremony.said().blamed == 2
    evidence = world.store("a").sessions.evidence(request.ceremony.session_id)
    assert len(evidence) == 1
    first, second = (Envelope.parse(data) for data in evidence[0])
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
                    i for i, each in enumerate(entry["envelopes"]) if Envelope.parse(b64decode(each)).sender == 2
                )
                body = bytearray(Envelope.parse(b64decode(entry["envelopes"][at])).body)
                # The nonce of round 0, the entropy of round 1, the signature of round 2 follow the 32-byte echo.
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
                shown.update(other.texts())

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


def test_n06_a_hundred_megabytes_in_a_slot(world: World) -> None:
    """The HTTP client never reads this much (test_transport); a node that got it all the same stays calm."""
    request = running(world)
    huge = "A" * (100 << 20)
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
    """Signed garbage of a real member, or unsigned garbage: the node leaves the session and goes on living."""
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
    if round < LAST:
        assert request.ceremony.state == FAILED
        assert world.store("a").database.rows("SELECT state FROM sessions") == [("aborted",)]
        assert not world.store("a").shares.final()
        # The node is not hurt: its next attempt succeeds.
        world.sync()
        world.mailbox.attempt(request)
    world.finish(request)
    assert request.state == SUCCEEDED
    assert world.nodes["a"].keys()[0].root_keys == world.nodes["b"].keys()[0].root_keys


def test_r22_a_malformed_body_blames_its_signer(world: World) -> None:
    request = running(world)
    happened = on_round(world, "a", 1, lambda each: [resigned(world, "b", each[0], body=b"no deal"), *each[1:]])
    run_out(world, request)
    assert happened
    assert request.ceremony.said().blamed == 2
    assert aborted(world) == "malformed_message"


# round 0 notes


def forged_hello(world: World, name: str, change: Callable[[Notes], Notes | bytes]) -> None:
    """Let node `name` say something else in round 0, under its own signature, to everybody."""

    def forge(node_id: str, body: Answers) -> None:
        if node_id != world.node_id(name):
            return
        for at, item in enumerate(body["messages"]):
            envelope = Envelope.parse(b64decode(item))
            if envelope.type == ROUND_MESSAGE and envelope.round == 0:
                ceremony = world.mailbox.requests[0].ceremony
                hello = parse_hello(ceremony.context, envelope.sender, envelope.body)
                told = change(Notes.parse(hello.notes))
                notes = told if isinstance(told, bytes) else told.encode()
                body["messages"][at] = resigned(world, name, item, body=replace(hello, notes=notes).encode())

    world.mailbox.forge = forge


def test_r13_a_reject_that_a_peer_knows_of_ends_the_ceremony(world: World) -> None:
    request = running(world)
    rejecter = world.nodes["c"].identity
    reject = Approval.sign(
        rejecter.sign,
        digest=request.intent.digest(),
        decision=REJECT,
        node_id=rejecter.node_id,
        time=request.intent.not_before + 1,
        reason="no",
    )
    forged_hello(world, "b", lambda notes: replace(notes, decisions=(reject,)))
    run_out(world, request)
    assert aborted(world) == "rejected"
    # Known now, and never forgotten.
    decisions = world.store("a").requests.decisions(request.digest)
    assert [each.decision for each in decisions if each.node_id == rejecter.node_id] == [REJECT]


def test_r13_a_forged_reject_in_the_notes_is_no_reject(world: World) -> None:
    request = running(world)
    forged = Approval(request.intent.digest(), REJECT, world.node_id("c"), request.intent.not_before, "", bytes(64))
    forged_hello(world, "b", lambda notes: replace(notes, decisions=(forged,)))
    until_round(world, "a", 1)
    assert world.store("a").requests.decisions(request.digest) != []
    world.finish(request)
    assert request.state == SUCCEEDED


def test_r26_a_peer_that_already_activated_the_group_ends_the_ceremony(world: World) -> None:
    request = running(world)
    held = SetNote(epoch=1, attempt=1, digest=bytes(32), state="activated")
    forged_hello(world, "b", lambda notes: replace(notes, sets=(held,)))
    run_out(world, request)
    assert aborted(world) == "group_has_key"


def test_notes_that_cannot_be_read_blame_their_author(world: World) -> None:
    request = running(world)
    forged_hello(world, "b", lambda notes: b"no notes")
    run_out(world, request)
    assert aborted(world) == "bad_notes"
    assert request.ceremony.said().blamed == 2


# aborts, deadlines, ends


def test_a_peers_abort_ends_the_session(world: World) -> None:
    request = running(world)
    world.sync()
    context = request.ceremony.context
    said = Envelope.seal(
        world.nodes["b"].identity.sign,
        type=ABORT,
        session_id=context.session_id(),
        protocol=context.protocol,
        round=0,
        sender=2,
        recipient=0,
        body=Abort("local_failure", "the disk is full", 0).encode(),
    )
    request.ceremony.aborts.append((2, said.encode()))
    request.ceremony.state = FAILED
    world.sync("a")
    rows = world.store("a").database.rows("SELECT state, code, message FROM sessions")
    assert rows[0][:2] == ("closed", "peer_aborted")
    assert "the disk is full" in rows[0][2]


def test_a_forged_abort_ends_nothing(world: World) -> None:
    request = running(world)
    world.sync("a")
    session_id = request.ceremony.session_id
    forged = Envelope.seal(
        world.nodes["c"].identity.sign,
        type=ABORT,
        session_id=bytes.fromhex(session_id),
        protocol="keygen/1",
        round=0,
        sender=2,
        recipient=0,
        body=Abort("x", "", 0).encode(),
    )

    def tamper(node_id: str, answer: Answers) -> None:
        answer["aborts"] = [{"session_id": session_id, "envelope": b64encode(forged.encode()).decode()}]

    world.mailbox.tamper = tamper
    world.sync("a")
    assert [record.state for record in world.store("a").sessions.listed()] == ["running"]
    assert "bad_abort" in [entry.code for entry in world.store("a").log_entries()]


def test_r15_a_ceremony_ends_after_ten_minutes(world: World) -> None:
    request = running(world)
    world.sync()
    started_at = world.store("a").now() - 10 * 60 * 1000 - 1
    world.store("a").database.execute("UPDATE sessions SET started_at = ?", (started_at,))
    world.sync("a")
    assert request.ceremony.reason == "deadline"
    assert aborted(world) == "deadline"


def test_r15_expiry_is_checked_again_before_prepared(world: World) -> None:
    request = running(world)
    until_round(world, "a", 1)
    # The clock passes the expiry between the deal and `prepared`.
    world.store("a").set_setting("time_high_water", str(request.intent.expires + 1))
    real = time.time_ns
    try:
        time.time_ns = lambda: (request.intent.expires + 2) * 1_000_000
        run_out(world, request)
    finally:
        time.time_ns = real
    assert request.ceremony.reason == "expired"
    assert not any(world.store(name).shares.of_group("group-1") for name in world.names)


def test_r26_a_node_that_missed_the_end_adopts_the_certificate(world: World) -> None:
    request = running(world)
    while (ROUND_MESSAGE, LAST, 1, 0) not in request.ceremony.slots:
        world.sync("a")
        if (ROUND_MESSAGE, LAST, 1, 0) not in request.ceremony.slots:
            world.sync("b", "c")
    assert [share.state for share in world.store("a").shares.of_group("group-1")] == ["activated"]
    while request.ceremony.state == OPEN:
        world.sync("b", "c")
    assert world.store("a").shares.final() == []
    # The mailbox has forgotten the messages; only the certificate is left.
    request.ceremony.slots.clear()
    world.sync("a")
    assert [key.root_keys for key in world.nodes["a"].keys()] == [
        key.root_keys for key in world.nodes["b"].keys()
    ]


def test_a_foreign_certificate_is_not_adopted(world: World, make_world: Any) -> None:
    elsewhere = make_world("a", "b", "c")
    foreign = elsewhere.keygen().ceremony.certificate
    request = running(world)
    until_round(world, "a", 2)
    assert [share.state for share in world.store("a").shares.of_group("group-1")] == ["prepared"]
    request.ceremony.slots.clear()
    request.ceremony.state, request.ceremony.certificate = SUCCEEDED, foreign
    world.sync("a")
    assert world.store("a").shares.final() == []
    assert "bad_certificate" in [entry.code for entry in world.store("a").log_entries()]
