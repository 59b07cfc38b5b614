"""Making, cancelling and expiring requests."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests.tss.nodes import SYSTEM, Site, fresh, run_job
from tss import jobs, lifecycle, selectors, services, tasks
from tss.documents import intent_of, manifest_of
from tss.models import Job, JobKind, TssRequest
from tss.representation import milliseconds, represent
from tss.services import creation, ending
from vaults import services as vaults
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError
from vaults.models import Group, Node
from wire.policy import VaultPolicy

pytestmark = pytest.mark.embedded


def refused(site: Site, **changes: object) -> ServiceError:
    before = TssRequest.objects.count()
    with pytest.raises(ServiceError) as caught:
        site.request(**changes)  # type: ignore[arg-type]
    assert TssRequest.objects.count() == before
    return caught.value


def test_new_request(site: Site) -> None:
    request = fresh(site.request(description="First key"))
    intent, manifest = intent_of(request.intent), manifest_of(request.manifest)
    assert re.fullmatch(r"\d{32}", request.id)
    assert request.id.startswith(f"{request.created_at:%Y%m%d%H%M%S}")
    assert intent.digest().hex() == request.digest
    assert (intent.request_id, intent.vault_id) == (request.id, str(site.vault.id))
    assert intent.target.manifest_hash.hex() == site.group.manifest_hash == manifest.hash().hex()
    assert intent.policy_hash == VaultPolicy.parse(request.policy.encode()).hash()
    assert (intent.not_before, intent.expires) == tuple(
        map(milliseconds, (request.created_at, request.expires_at))
    )
    assert (intent.requester.kind, intent.requester.api_key) == ("robot", site.actor.api_key.public_key)  # type: ignore[union-attr]
    shown = represent(request)
    assert (shown["status"], shown["description"]) == ("PendingKeyHolderConfirmation", "First key")
    ids = [signer.node_id for signer in site.signers]
    vote = {"side": "target", "needed": 3, "received": 0, "by": [], "of": ids}
    assert shown["approvals"] == {"needed": 3, "received": 0, "by": [], "votes": [vote]}
    assert (request.approvals_needed, request.protocol_minimum) == (3, 3)
    assert selectors.number_of_group(site.group.id) == 1
    rows = selectors.compatible_requests(vault=site.vault, group_id=site.group.id)
    assert list(rows) == [request]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"type": ""}, ErrorCode.MISSING, "type"),
        ({"type": "Export"}, ErrorCode.INVALID, "type"),
        ({"target_group_id": ""}, ErrorCode.MISSING, "target_key_share_holder_group_id"),
        ({"target_group_id": "main"}, ErrorCode.INVALID, "target_key_share_holder_group_id"),
        ({"target_group_id": str(uuid.uuid4())}, ErrorCode.NOT_FOUND, ""),
        ({"description": "x" * 1001}, ErrorCode.INVALID, "description"),
        ({"description": "\ud800"}, ErrorCode.INVALID, "description"),
        ({"description": "e\u0301"}, ErrorCode.INVALID, "description"),
    ],
)
def test_bad_input_names_the_field(
    site: Site, changes: dict[str, object], code: ErrorCode, field: str
) -> None:
    error = refused(site, **changes)
    assert (error.code, error.field) == (code, field)


def test_group_of_another_vault_is_unknown(site: Site) -> None:
    other = vaults.create_vault(
        actor=site.actor, organisation=site.organisation, name="Other", type="Org-Controlled"
    )
    assert refused(site, vault=other).code is ErrorCode.NOT_FOUND


def test_key_gen_needs_a_main_group(site: Site) -> None:
    group = site.new_group(type="SigningGroup")
    assert refused(site, group=group).code is ErrorCode.INVALID


def test_second_open_request_of_a_group(site: Site) -> None:
    site.request()
    error = refused(site)
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, "target_key_share_holder_group_id")


def test_database_allows_one_open_request_a_group(site: Site) -> None:
    """Whoever looked first: the constraint decides."""
    request = site.request()
    second = fresh(request)
    second.pk, second.digest = "2" * 32, "22" * 32
    with pytest.raises(IntegrityError, match=r"one_open_request_per_group|UNIQUE"), transaction.atomic():
        second.save(force_insert=True)


@pytest.mark.parametrize(("needed", "minimum"), [(0, 0), (1, 1), (2, 3)])
def test_r12_database_allows_no_request_with_too_few_approvals(site: Site, needed: int, minimum: int) -> None:
    request = site.request()
    with pytest.raises(IntegrityError), transaction.atomic():
        TssRequest.objects.filter(pk=request.pk).update(approvals_needed=needed, protocol_minimum=minimum)


def test_taken_request_id_is_drawn_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.request()
    taken = int(first.id[14:])
    services.cancel_request(actor=site.actor, request=first)
    drawn = iter([taken, taken + 1])
    monkeypatch.setattr("tss.services.creation.secrets.randbelow", lambda _: next(drawn))
    monkeypatch.setattr(creation, "datetime", _Clock(first.created_at))
    assert int(site.request().id[14:]) == taken + 1


class _Clock:
    def __init__(self, moment: object) -> None:
        self.moment = moment

    def now(self, _: object) -> object:
        return self.moment


def test_vault_with_an_active_main_group(site: Site) -> None:
    second = site.new_group()
    Group.objects.filter(pk=site.group.pk).update(status="Valid")
    assert refused(site, group=second).code is ErrorCode.WRONG_STATE
    assert refused(site).code is ErrorCode.WRONG_STATE


def test_r14_requester_who_owns_every_holder(site: Site) -> None:
    user = User.objects.create(username="alice")
    alice = vaults.add_member(
        actor=SYSTEM, organisation=site.organisation, user=user, role="operator", name="Alice"
    )
    Node.objects.update(owner=alice)
    actor = Actor.of_member(alice)
    assert refused(site, actor=actor).code is ErrorCode.FORBIDDEN
    Node.objects.filter(pk=site.signers[0].node_id).update(owner=None)
    assert site.request(actor=actor).requester_member == alice


def test_r14_the_services_own_signer_is_no_other_person(site: Site) -> None:
    user = User.objects.create(username="alice")
    alice = vaults.add_member(
        actor=SYSTEM, organisation=site.organisation, user=user, role="operator", name="Alice"
    )
    Node.objects.update(owner=alice)
    service = site.signers[0].node_id
    Node.objects.filter(pk=service).update(owner=None, organisation=None, kind="Cobo")
    assert refused(site, actor=Actor.of_member(alice)).code is ErrorCode.FORBIDDEN
    assert site.request().id


def test_service_signer_that_was_disabled(site: Site) -> None:
    Node.objects.filter(pk=site.signers[0].node_id).update(organisation=None, kind="Cobo")
    vaults.set_service_signer(actor=SYSTEM, organisation=site.organisation, enabled=False)
    assert refused(site).code is ErrorCode.FORBIDDEN
    vaults.set_service_signer(actor=SYSTEM, organisation=site.organisation, enabled=True)
    assert site.request().id


def test_cancel_while_awaiting_and_while_approved(site: Site) -> None:
    request = site.request()
    assert services.cancel_request(actor=site.actor, request=request).state == "Cancelled"
    approved = site.approved()
    services.cancel_request(actor=site.actor, request=approved)
    assert fresh(approved).state == "Cancelled"
    assert not Job.objects.filter(done_at__isnull=True).exists()


def test_cancel_is_refused_once_it_runs_or_has_ended(site: Site) -> None:
    ceremony = site.started()
    with pytest.raises(ServiceError) as caught:
        services.cancel_request(actor=site.actor, request=ceremony.request)
    assert caught.value.code is ErrorCode.WRONG_STATE
    TssRequest.objects.update(state="Cancelled")
    with pytest.raises(ServiceError, match="Cancelled"):
        services.cancel_request(actor=site.actor, request=ceremony.request)


def overdue(request: TssRequest) -> TssRequest:
    TssRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    return fresh(request)


def test_sweeper_expires_what_waits(site: Site) -> None:
    request = site.request()
    services.expire_overdue()
    assert fresh(request).state == "AwaitingApproval"
    overdue(request)
    services.expire_overdue()
    assert fresh(request).state == "Expired"


def test_t06_one_request_that_cannot_expire_does_not_stop_the_sweeper(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, good = site.request(), site.request(site.new_group())
    TssRequest.objects.update(expires_at=good.created_at)
    settle = lifecycle.settle

    def expire(request_id: str, step: Any) -> Any:
        if request_id == broken.id:
            raise RuntimeError("cannot expire")
        return settle(request_id, step)

    monkeypatch.setattr(ending, "settle", expire)
    rung: list[int] = []
    monkeypatch.setattr(jobs, "due", lambda: [7])
    monkeypatch.setattr(jobs, "deliver", rung.append)
    tasks.sweep()
    assert fresh(good).state == "Expired"
    assert fresh(broken).state == "AwaitingApproval"
    assert rung == [7]


def test_approved_request_expires_instead_of_starting(site: Site) -> None:
    request = overdue(site.approved())
    run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Expired"


def test_running_request_does_not_expire(site: Site) -> None:
    ceremony = site.started()
    overdue(ceremony.request)
    services.expire_overdue()
    assert fresh(ceremony.request).state == "Running"
