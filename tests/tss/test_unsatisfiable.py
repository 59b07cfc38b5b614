"""A request whose intent no longer holds ends at once, in the transaction of what overtook it (P12, P13)."""

import pytest
from django.db import transaction

from tests.tss.asking import replaced
from tests.tss.books import check_books
from tests.tss.nodes import Site, fresh, run_job
from tss import groups, services
from tss.models import Ceremony, Job, JobKind, TssRequest
from tss.obstacles import obstacle
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Group

pytestmark = pytest.mark.embedded


def sharing(site: Site, *names: str, approve: bool = False) -> TssRequest:
    """A KeyGenFromKeyGroup of the Main group's key for a group of new nodes."""
    target = site.new_group(type="SigningGroup", signers=site.join(*names))
    request = site.request(target, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    return site.approve(request) if approve else request


def ended(request: TssRequest, words: str) -> None:
    stored = fresh(request)
    assert stored.state == "Unsatisfiable", stored.state
    assert words in stored.state_reason
    assert not Job.objects.filter(reference=request.id, done_at=None).exists()
    assert not Ceremony.objects.filter(request=request).exists()
    check_books(request)


def change_policy(site: Site) -> None:
    request = site.approved(type="PolicyChange", target_group_id="", policy={"erase_grace": 0})
    run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Succeeded"


@pytest.mark.parametrize("approve", [False, True])
def test_47_source_set_is_superseded(keyed: Site, approve: bool) -> None:
    request = sharing(keyed, "Dora", "Erin", approve=approve)
    keyed.succeeded(type="Refresh")
    ended(request, "the source group has another share set meanwhile")


@pytest.mark.parametrize("approve", [False, True])
def test_p12_policy_changes_after_approvals(keyed: Site, approve: bool) -> None:
    request = sharing(keyed, "Dora", "Erin", approve=approve)
    change_policy(keyed)
    ended(request, "the vault's policy changed meanwhile")


def test_p12_the_change_itself_and_what_has_ended_stay(keyed: Site) -> None:
    request = sharing(keyed, "Dora", "Erin")
    services.cancel_request(actor=keyed.actor, request=request)
    change_policy(keyed)
    assert fresh(request).state == "Cancelled"


def test_p13_holder_is_replaced_while_a_refresh_waits(keyed: Site) -> None:
    request = keyed.request(type="Refresh")
    replaced(keyed, keyed.signers[0], keyed.join("Spare")[0])
    ended(request, "is being replaced meanwhile")


def test_p13_source_holders_are_replaced_until_too_few_are_left(keyed: Site) -> None:
    request = sharing(keyed, "Dora", "Erin")
    spares = keyed.join("Spare 1", "Spare 2")
    replaced(keyed, keyed.signers[0], spares[0])
    assert fresh(request).state == "AwaitingApproval"
    replaced(keyed, keyed.signers[1], spares[1])
    ended(request, "it needs 2 of 3, and 1 can still be counted")


def test_p13_replacement_is_taken_back(keyed: Site, recovery_group: Group) -> None:
    b, (spare, other) = keyed.signers[1], keyed.join("Spare", "Other")
    replaced(keyed, b, spare)
    request = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    replaced(keyed, b, b)
    ended(request, "is not being replaced by")
    replaced(keyed, b, spare)
    request = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    replaced(keyed, b, other)
    ended(request, "is not being replaced by")


def test_p13_another_holder_is_lost_while_a_recovery_waits(keyed: Site, recovery_group: Group) -> None:
    spares = keyed.join("Spare 1", "Spare 2")
    replaced(keyed, keyed.signers[1], spares[0])
    request = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    replaced(keyed, keyed.signers[0], spares[1])
    ended(request, "is being replaced meanwhile")


def test_r26_recovery_takes_the_main_group_away_from_others(keyed: Site, recovery_group: Group) -> None:
    request = sharing(keyed, "Dora", "Emil")
    refresh = keyed.request(type="Refresh")
    target = keyed.new_group(signers=keyed.join("X", "Y", "Z"))
    keyed.succeeded(target, type="Recovery", source_group_id=str(recovery_group.id))
    ended(request, "the source group")
    ended(refresh, "the target group")


def test_r16_promotion_takes_the_main_group_away_from_others(keyed: Site, signing_group: Group) -> None:
    request = sharing(keyed, "Emil", "Fritz")
    decree = keyed.approved(signing_group, type="RoleChange", original_main="signing")
    run_job(JobKind.START_CEREMONY, decree.id)
    ended(request, "the source group is a SigningGroup meanwhile")


def test_group_of_an_open_request_is_not_deleted(keyed: Site) -> None:
    request = sharing(keyed, "Dora", "Erin")
    with pytest.raises(ServiceError, match=request.id):
        groups.delete_group(actor=keyed.actor, group=request.target_group)
    assert fresh(request).state == "AwaitingApproval"


def test_requests_of_other_vaults_stay(keyed: Site) -> None:
    other = vaults.create_vault(
        actor=keyed.actor, organisation=keyed.organisation, name="Other", type="Org-Controlled"
    )
    request = keyed.request(keyed.new_group(vault=other))
    change_policy(keyed)
    assert fresh(request).state == "AwaitingApproval"


def test_start_ends_what_the_recheck_missed(keyed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker was killed, or the request was made at that very moment: the start looks again."""
    request = sharing(keyed, "Dora", "Erin", approve=True)
    with monkeypatch.context() as patch:
        patch.setattr("tss.publish.recheck", lambda _: None)
        keyed.succeeded(type="Refresh")
    assert fresh(request).state == "Approved"
    run_job(JobKind.START_CEREMONY, request.id)
    ended(request, "the source group has another share set meanwhile")


def test_recheck_is_undone_with_its_cause(keyed: Site) -> None:
    request = keyed.request(type="Refresh")
    (spare,) = keyed.join("Spare")
    with transaction.atomic():
        replaced(keyed, keyed.signers[0], spare)
        assert fresh(request).state == "Unsatisfiable"
        transaction.set_rollback(True)
    assert fresh(request).state == "AwaitingApproval"
    check_books(request)


def test_recheck_looks_again_when_somebody_was_faster(keyed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    request = keyed.request(type="Refresh")
    faster = [keyed.signers[2]]

    def look(fresh: TssRequest) -> str:
        words = obstacle(fresh)
        while faster:
            faster.pop().decide(request)
        return words

    monkeypatch.setattr("tss.services.ending.obstacle", look)
    replaced(keyed, keyed.signers[0], keyed.join("Spare")[0])
    assert not faster
    ended(request, "is being replaced meanwhile")


def test_damaged_documents_end_the_request_and_nothing_else(keyed: Site) -> None:
    damaged, other = sharing(keyed, "Dora", "Erin"), sharing(keyed, "Emil", "Fritz")
    TssRequest.objects.filter(pk=damaged.pk).update(intent="{}")
    services.recheck(keyed.vault)
    ended(damaged, "its stored documents are damaged")
    assert fresh(other).state == "AwaitingApproval"
