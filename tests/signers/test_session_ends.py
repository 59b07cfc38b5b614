"""Round-0 notes, aborts of peers, deadlines and late certificates (R13, R15, R26)."""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mpc.dealing_messages import parse_hello
from tests.signers.ceremonies import (
    LAST,
    Answers,
    aborted,
    resigned,
    run_out,
    running,
    until_round,
)
from tests.signers.mailbox import FAILED, OPEN, SUCCEEDED
from tests.signers.world import World, now_ms
from wire.abort import Abort
from wire.approval import REJECT, Approval
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.notes import Notes, SetNote

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
    forged = Approval(
        request.intent.digest(), REJECT, world.node_id("c"), request.intent.not_before, "", bytes(64)
    )
    forged_hello(world, "b", lambda notes: replace(notes, decisions=(forged,)))
    until_round(world, "a", 1)
    assert all(each.decision != REJECT for each in world.store("a").requests.decisions(request.digest))


def test_r26_a_peer_that_already_activated_the_group_ends_the_ceremony(world: World) -> None:
    request = running(world)
    held = SetNote("group-1", 1, 1, session_id=bytes(32), base=b"", state="activated")
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


def test_r15_expiry_is_checked_again_before_prepared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = world.open_request(expires=now_ms() + 120_000)
    world.approve(request)
    until_round(world, "a", 1)
    # The clock passes the expiry between the deal and `prepared`.
    monkeypatch.setattr(time, "time_ns", lambda: (request.intent.expires + 1) * 1_000_000)
    run_out(world, request)
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
    mine, theirs = world.nodes["a"].keys(), world.nodes["b"].keys()
    assert mine[0].root_keys == theirs[0].root_keys


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
