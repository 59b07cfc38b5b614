"""Holders' decisions: whose signature counts, over what, when, and once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditRow
from tests.tss.nodes import Signer, Site, fresh
from tss import decisions
from tss.errors import ItemRefused
from tss.models import Approval, Job, Refusal, RequestEvent, TssRequest
from tss.representation import milliseconds, represent
from wire.fields import WireError

pytestmark = pytest.mark.embedded


def refused(site: Site, signer: Signer, value: dict[str, Any]) -> str:
    """The code of the refusal, which changed nothing."""
    before = (Approval.objects.count(), RequestEvent.objects.count(), TssRequest.objects.get().version)
    with pytest.raises(ItemRefused) as caught:
        decisions.decide(node=signer.row, value=value)
    assert (
        Approval.objects.count(),
        RequestEvent.objects.count(),
        TssRequest.objects.get().version,
    ) == before
    return caught.value.code


def test_every_holder_must_approve(site: Site) -> None:
    request = site.request()
    for position, signer in enumerate(site.signers, start=1):
        assert fresh(request).state == "AwaitingApproval"
        signer.decide(request)
        assert represent(fresh(request))["approvals"]["received"] == position
    assert fresh(request).state == "Approved"
    assert Job.objects.get().reference == request.id
    assert represent(fresh(request))["approvals"]["by"] == sorted(signer.node_id for signer in site.signers)


def test_exact_repeat_changes_nothing(site: Site) -> None:
    request = site.request()
    site.signers[0].decide(request)
    version = fresh(request).version
    site.signers[0].decide(request)
    assert fresh(request).version == version
    assert Approval.objects.count() == 1


def test_exact_repeat_after_the_end_changes_nothing(site: Site) -> None:
    """A node whose answer was lost hands in the last approval again."""
    request = site.approved()
    site.signers[2].decide(request)
    assert fresh(request).state == "Approved"


def test_second_different_decision_is_refused(site: Site) -> None:
    request = site.request()
    alice = site.signers[0]
    alice.decide(request)
    assert refused(site, alice, alice.decision(request, "reject")) == "already_decided"
    later = alice.decision(request, time=milliseconds(request.created_at) + 2)
    assert refused(site, alice, later) == "already_decided"


def test_one_rejection_ends_the_request(site: Site) -> None:
    request = site.request()
    site.signers[0].decide(request)
    site.signers[1].decide(request, "reject", reason="not today")
    stored = fresh(request)
    assert (stored.state, stored.state_reason) == ("Rejected", "Holder B rejected: not today")
    assert refused(site, site.signers[2], site.signers[2].decision(request)) == "closed"
    assert not Job.objects.exists()


def test_r9_forged_signature_is_refused_and_audited(site: Site) -> None:
    request = site.request()
    alice, mallory = site.signers[0], Signer("Mallory")
    forged = mallory.decision(request, node_id=alice.node_id)
    audited = AuditRow.objects.count()
    assert refused(site, alice, forged) == "bad_signature"
    assert AuditRow.objects.count() == audited + 1
    assert AuditRow.objects.order_by("-sequence")[0].act == "denied"


@pytest.mark.parametrize("field", ["digest", "decision", "time", "reason"])
def test_r9_signature_covers_every_field(site: Site, field: str) -> None:
    request, other = site.request(), site.request(site.new_group())
    alice = site.signers[0]
    value = alice.decision(request)
    changed: dict[str, Any] = {
        "digest": other.digest,
        "decision": "reject",
        "time": value["time"] + 1,
        "reason": "changed",
    }
    with pytest.raises(ItemRefused) as caught:
        decisions.decide(node=alice.row, value=value | {field: changed[field]})
    assert caught.value.code == ("digest_mismatch" if field == "digest" else "bad_signature")
    assert not Approval.objects.exists()


def test_node_key_swapped_at_the_coordinator_does_not_count(site: Site) -> None:
    """A12: the key is the manifest's; the node row says something else."""
    request = site.request()
    alice, mallory = site.signers[0], Signer("Mallory")
    row = alice.row
    row.signing_key = bytes(mallory.signing.verify_key).hex()
    row.holder_card = mallory.card.to_json()
    row.save()
    assert refused(site, alice, mallory.decision(request, node_id=alice.node_id)) == "bad_signature"


def test_decision_of_another_holder_is_refused(site: Site) -> None:
    request = site.request()
    assert refused(site, site.signers[0], site.signers[1].decision(request)) == "foreign_node"


def test_node_outside_the_group_learns_nothing(site: Site) -> None:
    request = site.request()
    outsider = Signer("Outsider")
    outsider.enrol(site.organisation)
    assert refused(site, outsider, outsider.decision(request)) == "unknown_digest"
    assert refused(site, outsider, outsider.decision(request, digest=bytes(32))) == "unknown_digest"


def test_wrong_digest_is_refused(site: Site) -> None:
    request = site.request()
    alice = site.signers[0]
    assert refused(site, alice, alice.decision(request, digest=bytes(32))) == "unknown_digest"


def test_approval_after_expiry_expires_the_request(site: Site) -> None:
    request = site.request()
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(ItemRefused) as caught:
        site.signers[0].decide(request)
    assert caught.value.code == "closed"
    assert fresh(request).state == "Expired"
    assert not Approval.objects.exists()


@pytest.mark.parametrize("shift", [-200_000, 200_000], ids=["before the request", "in the future"])
def test_time_outside_the_request(site: Site, shift: int) -> None:
    request = site.request()
    alice = site.signers[0]
    time = milliseconds(request.created_at) + shift
    assert refused(site, alice, alice.decision(request, time=time)) == "bad_time"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda value: value.pop("signature"), "decision.signature"),
        (lambda value: value.update(extra=1), "decision.extra"),
        (lambda value: value.update(decision="maybe"), "decision.decision"),
        (lambda value: value.update(time="now"), "decision.time"),
        (lambda value: value.update(v=2), "decision.v"),
        (lambda value: value.update(digest="00"), "decision.digest"),
    ],
)
def test_malformed_decision_names_the_field(
    site: Site, change: Callable[[dict[str, Any]], object], field: str
) -> None:
    value = site.signers[0].decision(site.request())
    change(value)
    with pytest.raises(WireError) as caught:
        decisions.decide(node=site.signers[0].row, value=value)
    assert caught.value.field == field


def refuse(signer: Signer, request: TssRequest, message: str = "no rule allows it") -> None:
    value = {"digest": request.digest, "code": "no_rule", "message": message}
    decisions.refuse(node=signer.row, value=value)


def test_refusal_of_a_waiting_request_is_shown_and_binds_nobody(site: Site) -> None:
    request = site.request()
    refuse(site.signers[0], request)
    refuse(site.signers[0], request)
    assert Refusal.objects.get().message == "no rule allows it"
    assert RequestEvent.objects.filter(kind="refused").count() == 1
    site.signers[0].decide(request)
    assert fresh(request).state == "AwaitingApproval"


def test_changing_refusals_do_not_fill_the_log(site: Site) -> None:
    request = site.request()
    alice = site.signers[0]
    audited = AuditRow.objects.count()
    for number in range(30):
        decisions.refuse(
            node=alice.row, value={"digest": request.digest, "code": f"reason_{number}", "message": "no"}
        )
    assert AuditRow.objects.count() == audited + 20
    # Denials of one node are rationed as well.
    mallory = Signer("Mallory")
    for _ in range(3):
        assert refused(site, alice, mallory.decision(request, node_id=alice.node_id)) == "bad_signature"
    assert AuditRow.objects.count() == audited + 21


def test_refusal_ends_a_ceremony_and_names_the_node(site: Site) -> None:
    ceremony = site.started()
    refuse(site.signers[1], ceremony.request, "its clock is behind")
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [site.signers[1].node_id])
    assert stored.state_reason == "Holder B refused: no_rule: its clock is behind"


def test_refusal_after_the_end_is_ignored(site: Site) -> None:
    request = site.request()
    site.signers[0].decide(request, "reject")
    refuse(site.signers[1], request)
    assert not Refusal.objects.exists()
