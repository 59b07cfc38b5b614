"""Nodes join with a one-time code."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditRow
from tests.api.conftest import ACTOR, Tenant, enrol
from tests.wire.builders import card
from vaults import services
from vaults.errors import ErrorCode, ServiceError
from vaults.models import EnrolmentCode, Node
from webhooks.models import OutboxEvent

# The database decides these races and refusals: both databases have to.
pytestmark = pytest.mark.embedded


@pytest.fixture
def code(tenant: Tenant) -> str:
    return services.create_enrolment_code(actor=ACTOR, organisation=tenant.organisation, name="alice")


def join(code: Any, name: str = "alice", **changes: Any) -> Node:
    arguments = {"code": code, "holder_card": card(name).to_json(), "software": "0.1.0"} | changes
    return services.enrol_node(**arguments)


def refused(code: Any, error: ErrorCode, field: str, **changes: Any) -> None:
    with pytest.raises(ServiceError) as caught:
        join(code, **changes)
    assert (caught.value.code, caught.value.field) == (error, field)


def test_a_node_joins_once_and_may_ask_again(tenant: Tenant, code: str) -> None:
    node = join(code)
    assert node.tss_node_id == card("alice").node_id
    assert (node.organisation, node.name, node.kind) == (tenant.organisation, "alice", "API")
    trace = (AuditRow.objects.count(), OutboxEvent.objects.count())
    assert join(code) == node
    assert (AuditRow.objects.count(), OutboxEvent.objects.count()) == trace
    assert OutboxEvent.objects.filter(data__tss_node_id=node.tss_node_id).count() == 1
    refused(code, ErrorCode.FORBIDDEN, "code", name="mallory")
    assert Node.objects.filter(tss_node_id=card("mallory").node_id).count() == 0


def test_codes_that_do_not_work(tenant: Tenant, code: str) -> None:
    refused("no such code", ErrorCode.FORBIDDEN, "code")
    refused(None, ErrorCode.INVALID, "code")
    EnrolmentCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(code, ErrorCode.FORBIDDEN, "code")


def test_one_node_does_not_join_twice(tenant: Tenant, other: Tenant, code: str) -> None:
    join(code)
    second = services.create_enrolment_code(actor=ACTOR, organisation=other.organisation, name="alice")
    refused(second, ErrorCode.FORBIDDEN, "holder_card.card.node_id")
    assert Node.objects.get(tss_node_id=card("alice").node_id).organisation == tenant.organisation


def test_a_service_card_needs_a_service_code(tenant: Tenant, code: str) -> None:
    service = card("alice", kind="service").to_json()
    refused(code, ErrorCode.INVALID, "holder_card.card.kind", holder_card=service)
    for_service = services.create_enrolment_code(actor=ACTOR, organisation=None, name="s", service=True)
    refused(for_service, ErrorCode.INVALID, "holder_card.card.kind")
    assert enrol("service", None).organisation is None


def test_cards_are_verified(tenant: Tenant, code: str) -> None:
    """R4: an id that is not made of the keys, a signature of somebody else."""
    shape = card("alice").to_json()
    for field, bad in (
        ("holder_card.card.node_id", {**shape, "card": {**shape["card"], "node_id": card("bob").node_id}}),
        ("holder_card.signature", {**shape, "signature": card("bob").to_json()["signature"]}),
        ("holder_card", 5),
    ):
        refused(code, ErrorCode.INVALID, field, holder_card=bad)
    assert not Node.objects.filter(tss_node_id=card("alice").node_id).exists()


def test_only_the_hash_of_a_code_is_kept(tenant: Tenant, code: str) -> None:
    row = EnrolmentCode.objects.filter(name="alice").values()[0]
    assert code not in str(row)


def test_owners_are_members_of_the_nodes_organisation(tenant: Tenant, other: Tenant) -> None:
    user = services.create_user(actor=ACTOR, username="ann", password="x")
    ann, stranger = (
        services.add_member(actor=ACTOR, organisation=where, user=user, role="approver", name="Ann")
        for where in (tenant.organisation, other.organisation)
    )
    node = Node.objects.get(pk=tenant.node_ids[0])
    assert services.assign_node_owner(actor=ACTOR, node=node, owner=ann).owner == ann
    with pytest.raises(ServiceError):
        services.assign_node_owner(actor=ACTOR, node=node, owner=stranger)
    node.refresh_from_db()
    assert node.owner == ann
