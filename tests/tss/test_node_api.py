"""The node API over ASGI: authentication, what is handed in, what is handed out, and when a poll wakes."""

import asyncio
import json
import time
from typing import Any

import pytest
from django.test import AsyncClient

from audit.models import AuditRow
from tests.tss.nodes import SYSTEM, Signer, Site, and_close, fresh, run_job
from tests.tss.syncing import ENROL, SYNC, base64, body, call, lists, sync
from tss import inbox, node_api, services, wakeups
from tss.models import Ceremony, Job, JobKind, Message
from vaults import services as vaults
from vaults.models import Node
from wire.canonical import canonical_bytes

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def test_request_is_offered_until_it_is_known(site: Site) -> None:
    request = site.request()
    alice = site.signers[0]
    answer = sync(alice)
    assert lists(answer) == {
        "requests": [
            {
                "documents": {
                    "intent": request.intent,
                    "manifest": request.manifest,
                    "source_manifest": "",
                    "policy": request.policy,
                    "new_policy": "",
                    "decisions": [],
                    "certificates": [],
                    "decrees": [],
                }
            }
        ]
    }
    assert abs(answer["server_time"] - time.time() * 1000) < 10_000
    assert lists(sync(alice, known=[request.digest])) == {}
    services.cancel_request(actor=site.actor, request=request)
    assert lists(sync(alice, known=[request.digest])) == {
        "closed": [{"digest": request.digest, "state": "Cancelled"}]
    }
    assert lists(sync(alice)) == {}


def test_whole_key_gen_through_the_node_api(site: Site) -> None:
    request = site.request()
    for signer in site.signers:
        decision = signer.decision(request)
        answers = [sync(signer, decisions=[decision], known=[request.digest]) for _ in range(2)]
        assert [lists(answer) for answer in answers] == [{}, {}]
    assert fresh(request).state == "Approved"
    run_job(JobKind.START_CEREMONY, request.id)
    ceremony = Ceremony.objects.select_related("request").get()
    start = sync(site.signers[0], known=[request.digest])["starts"]
    assert [item["session_id"] for item in start] == [ceremony.session_id]
    assert (start[0]["attempt"], start[0]["dealers"]) == (1, [])
    assert len(start[0]["documents"]["decisions"]) == 3

    for signer in site.signers:
        signer.begin(ceremony)
    for number in range(4):
        for signer in site.signers:
            answer = sync(signer, known=[request.digest], sessions={ceremony.session_id: number})
            [item] = answer["messages"]
            assert (item["session_id"], item["round"]) == (ceremony.session_id, number)
            assert len(item["envelopes"]) == 2
        for signer in site.signers:
            signer.receive(ceremony)
    alice, bob = site.signers[:2]
    assert alice.certificate is not None
    handed = {"session_id": ceremony.session_id, "certificate": base64(alice.certificate.encode())}
    assert lists(sync(alice, known=[request.digest], sessions={}, certificates=[handed])).keys() == {"starts"}
    Job.objects.update(due_at=ceremony.started_at)
    run_job(JobKind.DRIVE_CEREMONY, ceremony.session_id)
    assert fresh(request).state == "Succeeded"
    # A node that is behind gets its messages first, then the certificate.
    behind = sync(bob, sessions={ceremony.session_id: 3})
    assert behind["messages"]
    assert behind["ended"] == []
    [ended] = sync(bob, sessions={ceremony.session_id: 4})["ended"]
    assert ended == {
        "session_id": ceremony.session_id,
        "state": "succeeded",
        "reason": "",
        "certificate": handed["certificate"],
    }


def test_round_is_served_only_when_all_have_spoken(site: Site) -> None:
    """The node itself, too: nobody holds all `prepared` signatures of a round that is not complete here."""
    ceremony = site.started()
    alice, bob, carol = site.signers
    waiting = {"known": [ceremony.request.digest], "sessions": {ceremony.session_id: 0}}
    bob.begin(ceremony)
    carol.begin(ceremony)
    for signer in site.signers:
        assert lists(sync(signer, **waiting)) == {}
    alice.begin(ceremony)
    for signer in site.signers:
        assert len(sync(signer, **waiting)["messages"][0]["envelopes"]) == 2


def test_failed_ceremony_ends_with_its_reason_and_the_abort(site: Site) -> None:
    ceremony = site.started()
    alice, bob = site.signers[:2]
    alice.abort(ceremony, 0, code="restarted", message="the node was restarted")
    answer = sync(bob, known=[ceremony.request.digest], sessions={ceremony.session_id: 0})
    assert lists(answer).keys() == {"closed", "aborts", "ended"}
    assert answer["aborts"][0]["session_id"] == ceremony.session_id
    assert "restarted" in answer["ended"][0]["reason"]
    assert answer["ended"][0]["certificate"] is None


def test_one_bad_item_does_not_stop_the_others(site: Site) -> None:
    ceremony = site.started()
    alice, mallory = site.signers[0], Signer("Mallory", index=1)
    messages = [
        "not base64!",
        base64(b"not an envelope"),
        base64(mallory.envelope(ceremony, 0, b"forged")),
        17,
        base64(alice.envelope(ceremony, 0, b"good")),
    ]
    answer = sync(
        alice,
        known=[ceremony.request.digest],
        sessions={ceremony.session_id: 0},
        messages=messages,
        decisions=[{"v": 1}],
        refusals=[None],
        certificates=[{"session_id": "00" * 32, "certificate": "AAAA"}],
    )
    assert [(error["item"], error["code"]) for error in answer["errors"]] == [
        ("decisions[0]", "malformed"),
        ("refusals[0]", "malformed"),
        ("messages[0]", "malformed"),
        ("messages[1]", "unknown_version"),
        ("messages[2]", "bad_signature"),
        ("messages[3]", "too_large"),
        ("certificates[0]", "unknown_session"),
    ]
    assert Message.objects.count() == 1


def test_another_tenants_node_sees_nothing(site: Site) -> None:
    ceremony = site.started()
    outsider = Signer("Outsider", index=1)
    outsider.enrol(vaults.create_organisation(actor=SYSTEM, name="Other"))
    answer = sync(
        outsider,
        known=[ceremony.request.digest],
        sessions={ceremony.session_id: 0},
        messages=[base64(outsider.envelope(ceremony, 0, b"hello"))],
    )
    assert lists(answer).keys() == {"errors"}
    assert answer["errors"][0]["code"] == "unknown_session"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (body(extra=1), "extra"),
        (body(wait_ms=25_001), "wait_ms"),
        (body(wait_ms=1.5), "wait_ms"),
        (body(wait_ms=True), "wait_ms"),
        (body(known=["00"]), "known[0]"),
        (body(known=["AB" * 32]), "known[0]"),
        (body(known=[f"{n:064x}" for n in range(1001)]), "known"),
        (body(sessions=[]), "sessions"),
        (body(sessions={"00" * 32: -1}), f"sessions.{'00' * 32}"),
        (body(sessions={"xyz": 0}), "sessions.xyz"),
        (body(epochs=[]), "epochs"),
        (body(epochs={"group": -1}), "epochs.group"),
        (body(epochs={"group": True}), "epochs.group"),
        (body(epochs={str(n): 1 for n in range(257)}), "epochs"),
        (body(messages=[""] * 65), "messages"),
        (body(statements=[{}] * 257), "statements"),
        (body(evidence=[{}] * 17), "evidence"),
        (body(messages={}), "messages"),
        (b'{"software":"a","software":"b"}', "software"),
        (b"[" * 40 + b"]" * 40, "body"),
    ],
)
def test_a01_malformed_call_names_the_field(site: Site, content: bytes, field: str) -> None:
    status, answer = asyncio.run(call(site.signers[0], SYNC, content))
    assert (status, answer["error_code"], answer["field"]) == (400, 2006, field)
    assert len(answer["error_id"]) == 32


@pytest.mark.parametrize(
    "signed",
    [
        {"body": b"{}"},
        {"path": ENROL},
        {"method": "GET"},
        {"time": 0},
        {"time": 10**15},
    ],
    ids=lambda signed: next(iter(signed)),
)
def test_call_signature_covers_the_call(site: Site, signed: dict[str, Any]) -> None:
    status, answer = asyncio.run(call(site.signers[0], SYNC, body(), **signed))
    assert (status, answer["error_code"]) == (401, 2023)


def test_unknown_node_and_borrowed_name(site: Site) -> None:
    stranger = Signer("Stranger")
    status, answer = asyncio.run(call(stranger, SYNC, body()))
    assert (status, answer["error_code"]) == (401, 2024)
    status, answer = asyncio.run(call(stranger, SYNC, body(), node_id=site.signers[0].node_id))
    assert (status, answer["error_code"]) == (401, 2023)


def test_missing_headers_and_other_methods(site: Site) -> None:
    async def run() -> list[tuple[int, Any]]:
        client = AsyncClient()
        bare = await client.post(SYNC, data=body(), content_type="application/json")
        wrong = await client.get(SYNC)
        return [(answer.status_code, json.loads(answer.content)) for answer in (bare, wrong)]

    bare, wrong = asyncio.run(run())
    assert (bare[0], bare[1]["error_code"], bare[1]["field"]) == (401, 2022, "X-Quorate-Node")
    assert (wrong[0], wrong[1]["error_code"]) == (405, 2002)


def test_enrolment(site: Site) -> None:
    dora = Signer("Dora")
    code = vaults.create_enrolment_code(actor=SYSTEM, organisation=site.organisation, name="Dora")
    content = canonical_bytes({"code": code, "holder_card": dora.card.to_json(), "software": "0.1.0"})
    expected = {"organisation_id": str(site.organisation.id), "name": "Dora"}
    for _ in range(2):
        assert asyncio.run(call(dora, ENROL, content)) == (200, expected)
    assert Node.objects.filter(pk=dora.node_id).count() == 1
    # Neither another key's call nor another node's card gets through with the same code.
    eve = Signer("Eve")
    assert asyncio.run(call(eve, ENROL, content))[0] == 401
    assert asyncio.run(call(eve, ENROL, content, node_id=dora.node_id))[0] == 401
    stolen = canonical_bytes({"code": code, "holder_card": eve.card.to_json(), "software": "0.1.0"})
    for _ in range(3):
        assert asyncio.run(call(eve, ENROL, stolen))[0] == 403
    denied = AuditRow.objects.get(act="node.enrolment_denied")
    assert (denied.actor, "used by another node" in denied.detail) == (f"node:{eve.node_id}", True)


def test_presence_is_noted_and_not_at_every_call(site: Site) -> None:
    alice = site.signers[0]
    sync(alice)
    first = alice.row.last_seen_at
    assert first is not None
    sync(alice)
    assert alice.row.last_seen_at == first
    sync(alice, software="0.2.0")
    assert alice.row.software == "0.2.0"


async def _poll_while(signer: Signer, act: Any, **changes: Any) -> tuple[dict[str, Any], float]:
    """Start a poll, act once it waits, and say how long after the act it answered, in seconds."""
    poll = asyncio.create_task(call(signer, SYNC, body(wait_ms=20_000, **changes)))
    async with asyncio.timeout(5):
        while not wakeups._hub._doorbells.get(signer.node_id):
            await asyncio.sleep(0.01)
    # The first read of the rows is over: from here only a ring answers early.
    await asyncio.sleep(0.3)
    assert not poll.done()
    began = time.monotonic()
    await asyncio.to_thread(and_close(act))
    status, answer = await poll
    assert status == 200
    return answer, time.monotonic() - began


@pytest.fixture
def no_recheck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls rely on rings alone."""
    monkeypatch.setattr(node_api, "_RECHECK_S", 60)


@pytest.mark.usefixtures("no_recheck")
def test_poll_wakes_for_a_new_request(site: Site) -> None:
    answer, seconds = asyncio.run(_poll_while(site.signers[0], site.request))
    assert answer["requests"]
    assert seconds < 2


@pytest.mark.usefixtures("no_recheck")
def test_poll_wakes_for_the_last_message_of_a_round(site: Site) -> None:
    ceremony = site.started()
    alice, bob, carol = site.signers
    alice.begin(ceremony)
    bob.begin(ceremony)
    answer, seconds = asyncio.run(
        _poll_while(
            alice,
            lambda: carol.begin(ceremony),
            known=[ceremony.request.digest],
            sessions={ceremony.session_id: 0},
        )
    )
    assert answer["messages"]
    assert seconds < 2


def test_lost_ring_costs_time_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_api, "_RECHECK_S", 0.5)
    monkeypatch.setattr(wakeups, "_ring", lambda _: None)
    answer, seconds = asyncio.run(_poll_while(site.signers[0], site.request))
    assert answer["requests"]
    assert seconds < 3


def test_oldest_poll_of_a_node_makes_room(site: Site) -> None:
    """A node cannot hold more than a few polls, whatever it does; other nodes do not notice."""
    alice, bob, _ = site.signers

    async def run() -> list[float]:
        began = time.monotonic()

        async def poll(signer: Signer) -> float:
            status, answer = await call(signer, SYNC, body(wait_ms=3000))
            assert (status, lists(answer)) == (200, {})
            return time.monotonic() - began

        polls = [asyncio.create_task(poll(bob))]
        for _ in range(node_api._MAX_POLLS + 2):
            polls.append(asyncio.create_task(poll(alice)))
            await asyncio.sleep(0.2)
        return await asyncio.gather(*polls)

    seconds = asyncio.run(run())
    assert sum(each < 2.9 for each in seconds[1:]) == 2
    assert seconds[0] >= 3
    assert node_api._polls[alice.node_id] == []


def test_a06_text_that_no_database_stores(site: Site) -> None:
    request = site.request()
    alice = site.signers[0]
    status, answer = asyncio.run(call(alice, SYNC, body(software="0.1\x00")))
    assert (status, answer["field"]) == (400, "software")
    refusal = {"digest": request.digest, "code": "no", "message": "a\x00b"}
    answer = sync(alice, refusals=[refusal], decisions=[alice.decision(request, "reject", reason="a\x00b")])
    assert [error["code"] for error in answer["errors"]] == ["malformed", "malformed"]
    assert fresh(request).state == "AwaitingApproval"


def test_no_more_starts_than_a_node_may_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_MAX_SESSIONS", 1)
    first = site.started()
    vault = vaults.create_vault(
        actor=site.actor, organisation=site.organisation, name="Other", type="Org-Controlled"
    )
    second = site.started(site.new_group(vault=vault))
    alice = site.signers[0]
    assert [start["session_id"] for start in sync(alice)["starts"]] == [first.session_id]
    first.request.refresh_from_db()
    assert lists(sync(alice, sessions={first.session_id: 0})) == {}
    alice.abort(first, 0, code="operator", message="stopped")
    assert [start["session_id"] for start in sync(alice)["starts"]] == [second.session_id]


def test_poll_without_news_answers_after_its_time(site: Site) -> None:
    began = time.monotonic()
    assert lists(sync(site.signers[0], wait_ms=300)) == {}
    assert 0.3 <= time.monotonic() - began < 5
