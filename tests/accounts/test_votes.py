"""Votes through the calls of a request's page: who, with what, how fresh (P01-P11, P16-P18, A15, T10)."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from nacl.signing import VerifyKey

from accounts.models import Passkey
from audit.models import AuditRow
from config.response_signing import public_key
from mpc.encoding import tagged_hash
from tests.accounts.authenticator import PRESENT, Authenticator
from tests.accounts.conftest import Person, enter
from tests.tss.asking import own
from tests.tss.nodes import SYSTEM, Site, fresh
from tss.models import Approval, TssRequest
from vaults import services as vaults
from wire.canonical import canonical_bytes
from wire.passkey import PasskeyApproval


def ask(person: Person, request: TssRequest, decision: str = "approve", **more: str) -> tuple[int, Any]:
    return person.call(f"/account/requests/{request.id}/vote/options", {"decision": decision, **more})


def vote(
    person: Person, request: TssRequest, decision: str = "approve", reason: str = "", **changes: Any
) -> tuple[int, Any]:
    """As vote.js does; `changes` are the authenticator's, or those of the call's body."""
    status, options = ask(person, request, decision, reason=reason)
    if status != 200:
        return status, options
    body = {
        "decision": decision,
        "reason": reason,
        "time": options["time"],
        "node_id": options["node_id"],
    }
    body |= {name: changes.pop(name) for name in list(changes) if name in body}
    credential = changes.pop("by", person.device).get(options, **changes)
    return person.call(f"/account/requests/{request.id}/vote", {**body, "credential": credential})


@pytest.mark.embedded
def test_a_vote_is_taken_shown_and_receipted(alice: Person, site: Site) -> None:
    request = site.request()
    status, done = vote(alice, request)
    assert (status, done["state"]) == (200, "AwaitingApproval")
    assert "your node" in done["message"]
    row = Approval.objects.get()
    assert (row.kind, row.decision, row.node_id) == ("passkey", "approve", site.signers[0].node_id)
    receipt = alice.client.get(done["receipt_url"])
    assert receipt["Content-Disposition"].startswith("attachment")
    document = receipt.json()
    signature = bytes.fromhex(document.pop("signature"))
    signed = tagged_hash("quorate/receipt/v1", canonical_bytes(document))
    VerifyKey(bytes.fromhex(public_key())).verify(signed, signature)
    assert (document["digest"], document["decision"]) == (request.digest, "approve")
    assert PasskeyApproval.from_json(document["vote"]).verify(alice.device.credential()) > 0
    for signer in site.signers:
        signer.decide(request)
    assert fresh(request).state == "Approved"


def test_a_rejection_with_its_reason_ends_the_request(alice: Person, site: Site) -> None:
    request = site.request()
    status, done = vote(alice, request, "reject", "I did not ask for this")
    assert (status, done["state"]) == (200, "Rejected")
    assert fresh(request).state_reason == "Holder A rejected: I did not ask for this"
    assert AuditRow.objects.order_by("-sequence")[0].actor == f"member:{alice.member.id}"


@pytest.mark.embedded
def test_p01_the_same_vote_again_is_one_vote(alice: Person, site: Site) -> None:
    request = site.request()
    _, options = ask(alice, request)
    body = {"decision": "approve", "reason": "", "time": options["time"], "node_id": options["node_id"]}
    for _ in range(2):
        signed = {**body, "credential": alice.device.get(options)}
        assert alice.call(f"/account/requests/{request.id}/vote", signed)[0] == 200
    assert Approval.objects.count() == 1


def test_p02_a_vote_for_another_request_is_refused(alice: Person, site: Site) -> None:
    request, other = site.request(), site.request(site.new_group())
    _, options = ask(alice, request)
    body = {
        "decision": "approve",
        "reason": "",
        "time": options["time"],
        "node_id": options["node_id"],
        "credential": alice.device.get(options),
    }
    status, answer = alice.call(f"/account/requests/{other.id}/vote", body)
    assert (status, "request" in answer["error"]) == (400, True)
    assert AuditRow.objects.order_by("-sequence")[0].act == "alarm"
    assert not Approval.objects.exists()


def test_p03_a_second_device_is_no_second_vote(alice: Person, site: Site) -> None:
    request = site.request()
    assert vote(alice, request)[0] == 200
    status, answer = vote(alice, request, "reject")
    assert (status, "approve" in answer["error"]) == (409, True)


@pytest.mark.parametrize("changed", ["reject", "withdraw"])
def test_p09_an_approval_does_not_pass_as_another_decision(alice: Person, site: Site, changed: str) -> None:
    request = site.request()
    _, options = ask(alice, request)
    body = {"decision": changed, "reason": "", "time": options["time"], "node_id": options["node_id"]}
    body["credential"] = alice.device.get(options)
    assert alice.call(f"/account/requests/{request.id}/vote", body)[0] == 400
    assert not Approval.objects.exists()


@pytest.mark.embedded
def test_p05_an_expired_request_takes_no_vote(alice: Person, site: Site) -> None:
    request = site.request()
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    status, answer = vote(alice, request)
    assert (status, "expired" in answer["error"].lower()) == (409, True)
    assert fresh(request).state == "Expired"


def test_p08_who_owns_no_holder_of_the_request_learns_nothing(alice: Person, site: Site) -> None:
    request = site.request()
    stranger = enter(site, "mallory")
    stranger.register(stranger.device)
    assert vote(stranger, request)[0] == 403
    outsider = enter(Site.make(), "eve")
    assert ask(outsider, request)[0] == 404
    assert ask(alice, request, node_id=site.signers[1].node_id)[0] == 403
    nobody = Person(alice.member, alice.device, type(alice.client)(enforce_csrf_checks=True))
    assert ask(nobody, request)[0] == 403


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"cross_origin": True},
        {"type": "webauthn.create"},
        {"challenge": "AAAA"},
    ],
)
def test_p11_what_is_no_valid_assertion_is_refused(
    alice: Person, site: Site, changes: dict[str, Any]
) -> None:
    request = site.request()
    status, answer = vote(alice, request, **changes)
    assert (status, bool(answer["error"])) == (400, True)
    assert not Approval.objects.exists()
    assert AuditRow.objects.order_by("-sequence")[0].act == "denied"


def test_p11_the_passkey_of_somebody_else_is_refused(alice: Person, site: Site) -> None:
    request, bert = site.request(), enter(site, "bert", site.signers[1])
    bert.register(bert.device)
    status, answer = vote(alice, request, by=bert.device)
    assert (status, answer["field"]) == (403, "credential")
    # Nor does one that no card lists.
    assert vote(bert, request)[0] == 409


def test_p11_a_falling_counter_raises_an_alarm(alice: Person, site: Site) -> None:
    request = site.request()
    Passkey.objects.update(counter=1000)
    assert vote(alice, request)[0] == 200
    assert AuditRow.objects.filter(act="passkey.alarm").count() == 1


def test_p17_an_old_signature_is_asked_for_again(alice: Person, site: Site) -> None:
    request = site.request()
    old = time.time_ns() // 1_000_000 - 20 * 60 * 1000
    status, answer = vote(alice, request, time=old)
    assert (status, answer["field"]) == (403, "time")


def test_p16_p17_only_a_post_of_our_own_page_votes(alice: Person, site: Site) -> None:
    request = site.request()
    for path in ("vote", "vote/options"):
        url = f"/account/requests/{request.id}/{path}"
        assert alice.client.get(url).status_code == 405
        assert alice.client.post(url, {}, content_type="application/json").status_code == 403
    assert not Approval.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("decision", {"decision": "maybe"}),
        ("decision", {}),
        ("reason", {"decision": "reject", "reason": "a\u202eb"}),
        ("reason", {"decision": "reject", "reason": "x" * 501}),
        ("reason", {"decision": "reject", "reason": "e\u0301"}),
        ("extra", {"decision": "reject", "extra": 1}),
        ("node_id", {"decision": "reject", "node_id": 5}),
    ],
)
def test_a_malformed_call_names_its_field(alice: Person, site: Site, field: str, body: object) -> None:
    request = site.request()
    status, answer = alice.call(f"/account/requests/{request.id}/vote/options", body)
    assert (status, answer["field"]) == (400, field)


def test_a15_a_demoted_member_votes_no_more(alice: Person, site: Site) -> None:
    request = site.request()
    _, options = ask(alice, request)
    vaults.change_role(actor=SYSTEM, member=alice.member, role="auditor")
    body = {
        "decision": "approve",
        "reason": "",
        "time": options["time"],
        "node_id": options["node_id"],
        "credential": alice.device.get(options),
    }
    assert alice.call(f"/account/requests/{request.id}/vote", body)[0] == 403
    alice.log_in()
    assert alice.call(f"/account/requests/{request.id}/vote", body)[0] == 404
    assert not Approval.objects.exists()


@pytest.mark.embedded
def test_t10_without_its_audit_row_a_vote_does_not_happen(
    alice: Person, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = site.request()
    counter = Passkey.objects.get().counter

    def down(*args: object, **kwargs: object) -> None:
        raise OSError("the log's disk is full")

    monkeypatch.setattr("audit.models.AuditRow.save", down)
    alice.client.raise_request_exception = False
    _, options = ask(alice, request)
    body = {
        "decision": "approve",
        "reason": "",
        "time": options["time"],
        "node_id": options["node_id"],
        "credential": alice.device.get(options),
    }
    headers = {"X-CSRFToken": alice.token()}
    url = f"/account/requests/{request.id}/vote"
    response = alice.client.post(url, body, content_type="application/json", headers=headers)
    assert response.status_code == 500
    assert not Approval.objects.exists()
    assert Passkey.objects.get().counter == counter


def test_of_two_holders_the_one_that_has_not_voted_is_next(alice: Person, site: Site) -> None:
    own(alice.member, site.signers[1])
    second = Authenticator()
    alice.register(second, "red key")
    site.signers[1].new_card("both", second, "red key")
    request = site.request()
    assert vote(alice, request)[0] == 200
    assert vote(alice, request, by=second)[0] == 200
    assert {row.node_id for row in Approval.objects.all()} == {each.node_id for each in site.signers[:2]}
