"""A coordinator, or a peer, that goes for the operator, the process or the disk instead of the protocol."""

import gzip
import logging
import time
from base64 import b64encode
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

import wire.identity
from mpc.base58 import b58encode
from signers.ceremonies import Ceremony
from signers.errors import NodeError, Refusal, plain
from signers.hello import Hello
from signers.identity import Identity
from signers.node import Node
from signers.sessions import WAITING
from signers.shares import ACTIVATED
from signers.transport import HttpTransport, TransportError, check_url
from tests.signers.ceremonies import LAST, Answers, aborted, run_out, running, until_round
from tests.signers.mailbox import FAILED, OPEN, SUCCEEDED, Request
from tests.signers.test_cli import as_key_file, ok, run
from tests.signers.test_transport import server
from tests.signers.world import DEMO_POLICY, World
from wire.abort import Abort
from wire.approval import REJECT, Approval
from wire.envelope import ABORT, Envelope
from wire.identity import identity_hash
from wire.notes import Notes

ESCAPE = "\x1b[2J\x1b[1;1H\nNothing to see\u202e"


def clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


# R1


def as_api(world: World, name: str) -> Any:
    """The card of a service signer on which its owner, the coordinator, has written `api`."""
    return world.nodes[name].identity.card("api")


def test_r1_a_service_signer_that_calls_itself_api_is_still_counted(make_world: Any) -> None:
    world = make_world("a", "s1", "s2", kinds={"s1": "service", "s2": "service"})
    holders = (world.card("a"), as_api(world, "s1"), as_api(world, "s2"))
    request = world.open_request(manifest=replace(world.manifest(), holders=holders))
    world.sync("a")
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    assert (record.verdict, record.code) == ("refused", "pin_mismatch")
    with pytest.raises(NodeError):
        world.nodes["a"].approve(record)


def test_r1_the_kind_of_a_pin_is_authenticated(make_world: Any) -> None:
    world = make_world("a", "b", "s", kinds={"s": "service"})
    world.store("a").database.execute("UPDATE pins SET kind = 'api'")
    with pytest.raises(Refusal) as caught:
        world.store("a").pins.get(world.node_id("s"), world.nodes["a"].data_key)
    assert caught.value.code == "pin_tampered"


# R10: what a person reads


def test_r10_no_text_of_others_moves_the_cursor(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shown = world.open_request(description=ESCAPE)
    hidden = world.mailbox.add(world.request(request_id=ESCAPE[:32]))
    world.sync("a")
    folder = as_key_file(world, "a")
    texts = [
        ok(folder, "requests", "--all"),
        ok(folder, "show", shown.digest),
        ok(folder, "show", hidden.digest),
    ]

    request = world.open_request()
    world.sync("a")
    rejection = Approval.sign(
        world.nodes["b"].identity.sign,
        digest=bytes.fromhex(request.digest),
        decision=REJECT,
        node_id=world.node_id("b"),
        time=world.store("b").now(),
        reason=ESCAPE,
    )
    node = world.nodes["a"]
    with pytest.raises(Refusal):
        node.checks.keep_rejections(request.manifest, None, bytes.fromhex(request.digest), [rejection])
    texts.append(run(folder, "approve", request.digest, "--yes").output)
    assert "rejected" in texts[-1]
    assert all(clean(text) for text in texts), texts
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert all(entry.message.isprintable() for entry in world.store("a").log_entries())


def test_r10_answers_are_plain_text(world: World) -> None:
    def tamper(node_id: str, answer: Answers) -> None:
        answer["closed"].append({"digest": request.digest, "state": ESCAPE[:20]})
        answer["errors"].append({"item": "decisions[9]", "code": "\x1bx", "message": ESCAPE})

    request = world.open_request()
    world.approve(request, "a")
    world.mailbox.tamper = tamper
    world.sync("a")
    assert clean(ok(as_key_file(world, "a"), "requests", "--all"))
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    assert record.state.isprintable()
    assert plain(ESCAPE) == "?[2J?[1;1H?Nothing to see?"


def test_r10_a_peers_abort_is_plain_text(world: World) -> None:
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
        body=Abort("local_failure", ESCAPE, 0).encode(),
    )
    request.ceremony.aborts.append((2, said.encode()))
    request.ceremony.state = FAILED
    world.sync("a")
    (message,) = world.store("a").database.rows("SELECT message FROM sessions")[0]
    assert "Nothing to see" in message
    assert message.isprintable()


# R11


def test_r11_the_demo_is_judged_by_the_address_in_use(world: World) -> None:
    store = world.store("a")
    (world.state("a") / "policy.toml").write_text(DEMO_POLICY)
    store.set_setting("coordinator", "https://quorate.example.com")
    node = Node(store, world.nodes["a"].data_key, world.state("a"))
    assert isinstance(node.transport, HttpTransport)
    # Another process enrols the node elsewhere; this one goes on talking to the remote address.
    store.set_setting("coordinator", "http://127.0.0.1:1")
    with pytest.raises(NodeError) as caught:
        node.policy()
    assert caught.value.code == "demo_needs_loopback"


@pytest.mark.parametrize("url", ["http://[::1", "http://localhost:99999", "http://localhost:x"])
def test_r11_an_address_that_is_none_is_a_typed_error(url: str) -> None:
    with pytest.raises(NodeError) as caught:
        check_url(url)
    assert caught.value.code == "bad_url"


# R13


@pytest.mark.parametrize("round", [1, 2])
def test_r13_a_reject_ends_a_running_ceremony_at_once(world: World, round: int) -> None:
    request = running(world)
    until_round(world, "a", round)
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    world.nodes["a"].reject(record, "stop")
    # What it signed and did not send yet stays here; only the ABORT goes out.
    assert [each.type for each in world.store("a").sessions.undelivered()] == [ABORT]
    run_out(world, request)
    assert (request.ceremony.state, request.ceremony.reason) == (FAILED, "rejected")
    assert aborted(world) == "rejected"
    assert not any(slot[1] >= round and slot[2] == 1 for slot in request.ceremony.slots)
    assert not any(world.store(name).shares.final() for name in world.names)


def test_r13_a_reject_after_activated_comes_too_late(world: World) -> None:
    """Its signature may be with the others already: what can be certified without the node stays usable."""
    request = running(world)
    until_round(world, "a", LAST)
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    world.nodes["a"].reject(record, "stop")
    assert [each.state for each in world.store("a").shares.all()] == [ACTIVATED]
    assert [each.round for each in world.store("a").sessions.listed()] == [LAST]
    decision = world.store("a").requests.own_decision(request.digest, world.node_id("a"))
    assert decision is not None
    assert decision.decision == REJECT


def test_r13_a_reject_between_the_checks_and_the_first_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = running(world)
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    notes = Hello.notes

    def reject_meanwhile(hello: Hello, ceremony: Ceremony) -> bytes:
        world.nodes["a"].reject(record, "in another window")
        return notes(hello, ceremony)

    monkeypatch.setattr(Hello, "notes", reject_meanwhile)
    world.sync("a")
    assert world.store("a").sessions.listed() == []
    assert not any(slot[2] == 1 for slot in request.ceremony.slots)


# R15


def test_r15_messages_that_come_after_the_deadline_are_not_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = running(world)
    until_round(world, "a", 1)
    world.sync("b", "c")
    now = time.time_ns()
    moment = {"offset": 0}
    monkeypatch.setattr(time, "time_ns", lambda: now + moment["offset"])

    def sleep_in_the_call(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("a") and answer["messages"]:
            moment["offset"] = 11 * 60 * 10**9

    world.mailbox.tamper = sleep_in_the_call
    world.sync("a")
    assert moment["offset"]
    assert aborted(world) == "deadline"
    assert world.store("a").shares.of_group("group-1") == []
    assert request.ceremony.state == OPEN


# R22: one message for all


def test_r22_a_message_for_one_participant_alone_is_refused(world: World) -> None:
    """Two such messages are in two slots, so nothing would show that their author told two stories."""
    request = running(world)

    def tell_a_alone(node_id: str, answer: Answers) -> None:
        for entry in answer["messages"] if node_id == world.node_id("a") else ():
            context = request.ceremony.context
            body = request.ceremony.slots[(1, entry["round"], 2, 0)]
            hello = Envelope.parse(body).body
            alone = Envelope.seal(
                world.nodes["b"].identity.sign,
                type=1,
                session_id=context.session_id(),
                protocol=context.protocol,
                round=entry["round"],
                sender=2,
                recipient=1,
                body=hello,
            )
            entry["envelopes"][0] = b64encode(alone.encode()).decode()

    world.mailbox.tamper = tell_a_alone
    run_out(world, request)
    assert aborted(world) == "wrong_recipient"
    assert request.ceremony.said().blamed == 0


# R26


def test_r26_an_activated_node_goes_on_asking(world: World) -> None:
    """A messenger says "failed" to a node that activated; the key exists all the same."""
    request = running(world)
    while (1, LAST, 1, 0) not in request.ceremony.slots:
        world.sync("a")
        if (1, LAST, 1, 0) not in request.ceremony.slots:
            world.sync("b", "c")
    lie = {"session_id": request.ceremony.session_id, "state": "failed", "reason": "", "certificate": None}

    def tamper(node_id: str, answer: Answers) -> None:
        answer["messages"], answer["ended"] = [], [lie]

    world.mailbox.tamper = tamper
    world.sync("a")
    assert [record.state for record in world.store("a").sessions.listed()] == [WAITING]
    world.mailbox.tamper = None
    while request.ceremony.state == OPEN:
        world.sync("b", "c")
    assert request.state == SUCCEEDED
    request.ceremony.slots.clear()
    world.restart("a")
    world.sync("a")
    assert world.nodes["a"].keys()[0].root_keys == world.nodes["b"].keys()[0].root_keys


# N06: the process and its memory


def test_n06_a_request_that_no_protocol_can_run_does_not_end_the_node(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the protocol refuses at its start is a refusal of the request, not a crash in a loop."""
    request = running(world)
    monkeypatch.setattr(Hello, "notes", lambda hello, ceremony: bytes(1 << 17))
    world.sync("a")
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "bad_session"
    assert world.store("a").sessions.listed() == []


def test_n06_many_rejects_in_the_notes_cost_little(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each id of the roster is made once, not once for each decision that a peer made up."""
    request: Request = world.request()
    digest = bytes.fromhex(request.digest)
    strangers = [Approval(digest, REJECT, f"quo{number}", 1, "", bytes(64)) for number in range(190)]
    assert len(Notes(tuple(strangers), (), ()).encode()) < 1 << 16
    made: list[bytes] = []

    def counted(data: bytes) -> str:
        made.append(data)
        return b58encode(data)

    monkeypatch.setattr(wire.identity, "b58encode", counted)
    world.nodes["a"].checks.keep_rejections(request.manifest, None, digest, strangers)
    assert len(made) <= 2 * request.manifest.participants


def test_r5_a_refusal_names_every_unpinned_node(make_world: Any) -> None:
    names = [f"n{number}" for number in range(20)]
    world: World = make_world("a", "b", *names)
    world.store("a").database.execute("DELETE FROM pins")
    request = world.open_request()
    world.sync("a")
    shown = ok(as_key_file(world, "a"), "show", request.digest)
    assert "unpinned_node" in shown
    for name in names:
        card = world.card(name)
        assert f"fingerprint {identity_hash(card.signing_key, card.encryption_key).hex()}" in shown


def test_n06_a_compressed_answer_is_not_unpacked() -> None:
    data = gzip.compress(b'{"requests":' + b" " * (200 << 20), 9)

    def handle(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    node = Identity.generate()
    with server(handle) as (url, _), pytest.raises(TransportError) as caught:
        HttpTransport(url, node.node_id, node.sign).sync({}, 0)
    # Read as it came, and no JSON: unpacked it would have been too large.
    assert caught.value.code == "bad_answer"
