"""Why a request is where it is: for every state, in words and codes; and what others check it by."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mpc.certificate import Certificate
from tests.tss.asking import replaced, set_of
from tests.tss.nodes import Site, drive, fresh
from tss import ceremonies, decisions, dossier, services
from tss.explain import explain
from tss.models import Evidence, EvidenceKind, TssRequest
from tss.timeline import timeline
from vaults.models import Group, Node

pytestmark = pytest.mark.embedded


def explained(request: TssRequest) -> dict[str, Any]:
    answer = explain(fresh(request))
    assert answer["state"] == fresh(request).state
    assert answer["summary"].endswith(".")
    assert answer["next"]
    return answer


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["waiting_for"]]


def awake() -> None:
    Node.objects.update(last_seen_at=timezone.now())


def test_missing_approvals_by_name_and_side(keyed: Site) -> None:
    awake()
    dora, erin = keyed.join("Dora", "Erin")
    awake()
    target = keyed.new_group(type="SigningGroup", signers=[dora, erin])
    request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    for signer in (keyed.signers[1], dora):
        signer.decide(request)
    answer = explained(request)
    assert "Holder A, Holder C, Erin" in answer["summary"]
    source, to_target = answer["waiting_for"]
    assert (source["code"], source["side"]) == ("approval_missing", "source")
    assert source["message"] == "1 more source holder(s) must approve, of Holder A, Holder C (1 of 2 have)"
    assert to_target["node_ids"] == [erin.node_id]


def test_nodes_that_are_away_old_or_refuse(site: Site) -> None:
    a, b, c = site.signers
    request = site.request()
    Node.objects.filter(pk=b.node_id).update(last_seen_at=timezone.now(), software="0.0.9")
    Node.objects.filter(pk=c.node_id).update(last_seen_at=timezone.now())
    value = {"digest": request.digest, "code": "unpinned_node", "message": "Holder A is not pinned"}
    decisions.refuse(node=c.row, value=value)
    _, offline, old, refusal = explained(request)["waiting_for"]
    assert (offline["code"], offline["node_ids"]) == ("node_offline", [a.node_id])
    assert (old["code"], old["node_ids"]) == ("software_too_old", [b.node_id])
    assert (refusal["code"], refusal["refusal_code"]) == ("node_refused", "unpinned_node")
    assert refusal["message"] == "Holder C's node will not take part: Holder A is not pinned"


def test_expiry_is_named(site: Site) -> None:
    request = site.request()
    assert request.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC") in explained(request)["summary"]
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "Its time ended" in explained(request)["summary"]


def test_approved_request_that_waits_for_another_ceremony(keyed: Site) -> None:
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    awake()
    sharing = keyed.approved(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert codes(explained(sharing)) == ["queued"]
    ceremony = keyed.started(type="Refresh")
    (busy,) = explained(sharing)["waiting_for"]
    assert (busy["code"], busy["request_id"]) == ("vault_busy", ceremony.request_id)


def test_running_request_says_whom_its_round_waits_for(site: Site) -> None:
    ceremony = site.started()
    awake()
    for signer in site.signers[:2]:
        signer.begin(ceremony)
    answer = explained(ceremony.request)
    assert answer["waiting_for"][0] == {
        "code": "round",
        "message": "round 1 of 4 (attempt 1) waits for Holder C",
        "node_ids": [site.signers[2].node_id],
    }
    site.signers[2].begin(ceremony)
    assert "round 2 of 4" in explained(ceremony.request)["summary"]


def test_failed_request_says_whether_a_retry_helps_and_whom_it_leaves_out(keyed: Site) -> None:
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    for signer in (*keyed.others, *keyed.signers):
        signer.decide(request)
    ceremony = keyed.start(fresh(request))
    ceremonies.fail(ceremony, actor=keyed.actor, reason="Dora timed out", blamed=[1])
    answer = explained(request)
    assert answer["waiting_for"][0]["node_ids"] == [keyed.others[0].node_id]
    retry = answer["retry"]
    assert (retry["possible"], retry["same_ceremony"], retry["attempts_left"]) == (True, False, 4)
    assert len(retry["dealers"]) == 2
    TssRequest.objects.filter(pk=request.pk).update(retryable=False)
    assert "A retry cannot help" in explained(request)["next"]


@pytest.mark.parametrize("end", ["reject", "cancel", "expire"])
def test_request_that_ended_before_it_ran(site: Site, end: str) -> None:
    request = site.request()
    if end == "reject":
        site.signers[0].decide(request, "reject", reason="no")
    elif end == "cancel":
        services.cancel_request(actor=site.actor, request=request)
    else:
        TssRequest.objects.update(expires_at=timezone.now())
        services.expire_overdue()
    answer = explained(request)
    assert fresh(request).state_reason in answer["summary"]
    assert answer["waiting_for"] == []


def test_r28_success_says_what_is_left_of_the_old_shares(keyed: Site) -> None:
    key_gen = TssRequest.objects.get().ceremonies.get()
    refresh = keyed.succeeded(type="Refresh")
    answer = explained(refresh)
    assert codes(answer) == ["erasure"]
    assert answer["waiting_for"][0]["message"] == (
        "0 of 3 retired shares of epoch 1 are erased; they are worthless after 2"
    )
    for signer in keyed.signers[:2]:
        signer.state(key_gen, "erased")
    answer = explained(refresh)
    assert codes(answer) == []
    assert answer["erasure"][0]["not_erased"] == [keyed.signers[2].node_id]


def test_r28_lost_node_that_holds_shares_elsewhere(
    keyed: Site, signing_group: Group, recovery_group: Group
) -> None:
    lost, (spare,) = keyed.signers[0], keyed.join("Spare")
    replaced(keyed, lost, spare)
    request = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    (elsewhere,) = explained(request)["also_holds"]
    assert elsewhere["tss_node_id"] == lost.node_id
    assert elsewhere["key_share_holder_group_id"] == str(signing_group.id)


def test_damaged_documents_are_explained(site: Site) -> None:
    request = site.request()
    TssRequest.objects.update(intent="{}")
    assert "damaged" in explained(request)["summary"]


def test_timeline_tells_everything_in_order(keyed: Site) -> None:
    key_gen = TssRequest.objects.get()
    keyed.succeeded(type="Refresh")
    keyed.signers[0].state(key_gen.ceremonies.get(), "erased")
    entries = timeline(fresh(key_gen))["entries"]
    assert [
        entry["kind"] for entry in entries if entry["kind"] not in ("ceremony_began", "ceremony_ended")
    ] == [
        "created",
        "approved",
        "approved",
        "transition",
        "transition",
        *["round_complete"] * 4,
        "transition",
        "set_erased",
    ]
    assert {"ceremony_began", "ceremony_ended"} < {entry["kind"] for entry in entries}
    assert [entry["state"] for entry in entries if entry["kind"] == "transition"] == [
        "Approved",
        "Running",
        "Succeeded",
    ]
    assert entries == sorted(entries, key=lambda entry: entry["time"])
    assert [entry["name"] for entry in entries if entry["kind"] == "approved"] == ["Holder A", "Holder B"]


def test_intent_dossier_leads_from_the_key_gen_to_the_request(keyed: Site) -> None:
    key_gen = TssRequest.objects.get()
    first = set_of(keyed.group)
    refresh = keyed.succeeded(type="Refresh")
    answer = dossier.intent(fresh(key_gen))
    assert answer["certificates"] == []
    assert _hash(answer["certificate"]) == first
    answer = dossier.intent(refresh)
    assert [_hash(text) for text in answer["certificates"]] == [first]
    assert _hash(answer["certificate"]) == set_of(keyed.group)
    assert len(answer["approvals"]) == 3
    waiting = dossier.intent(keyed.request(type="Refresh"))
    assert waiting["certificate"] == ""
    assert [_hash(text) for text in waiting["certificates"]] == [first, set_of(keyed.group)]


def test_r22_evidence_is_shown_on_the_request(site: Site) -> None:
    ceremony = site.started()
    alice = site.signers[0]
    alice.send(ceremony, 0, b"one")
    with pytest.raises(Exception, match="different message"):
        alice.send(ceremony, 0, b"two")
    assert explained(ceremony.request)["evidence"] == 1
    (pair,) = dossier.evidence(fresh(ceremony.request))["evidence"]
    row = Evidence.objects.get()
    assert (pair["kind"], pair["sender"], pair["round"]) == (EvidenceKind.EQUIVOCATION, row.sender, 0)
    assert pair["first"] != pair["second"]


def _hash(text: str) -> bytes:
    return Certificate.parse(base64.b64decode(text)).hash()


def test_certificate_is_being_checked(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    assert codes(explained(ceremony.request)) == ["certificate"]
    site.signers[0].hand_in(ceremony)
    drive(ceremony)
    assert explained(ceremony.request)["summary"] == "It has succeeded."
