"""Nodes online and offline: one event for each change, whoever looks how often."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.api.conftest import ACTOR, Tenant, enrol
from vaults import services as vaults
from vaults.models import Node
from webhooks import presence
from webhooks.models import NodePresence, OutboxEvent

pytestmark = pytest.mark.embedded


def announced() -> list[tuple[str, str]]:
    events = OutboxEvent.objects.filter(type__in=("quorate.node.online", "quorate.node.offline"))
    return [
        (event.type.rpartition(".")[2], event.data["tss_node_id"]) for event in events.order_by("sequence")
    ]


def look() -> None:
    """Twice, as two sweepers would."""
    presence.announce_changes()
    presence.announce_changes()


def test_online_offline_and_back(tenant: Tenant) -> None:
    look()
    assert announced() == []
    node_id = tenant.node_ids[0]
    node = Node.objects.filter(pk=node_id)
    for age, seen in ((0, ["online"]), (3600, ["online", "offline"]), (0, ["online", "offline", "online"])):
        node.update(last_seen_at=timezone.now() - timedelta(seconds=age))
        look()
        assert announced() == [(what, node_id) for what in seen]


def test_who_was_faster_has_announced_it(tenant: Tenant) -> None:
    node_id = tenant.node_ids[0]
    assert presence._changed(node_id, True)
    assert not presence._changed(node_id, True)
    assert presence._changed(node_id, False)
    assert not presence._changed(node_id, False)
    assert not NodePresence.objects.get().online


def test_the_services_signer_concerns_those_who_use_it(tenant: Tenant, service_node: Node) -> None:
    Node.objects.filter(pk=service_node.pk).update(last_seen_at=timezone.now())
    look()
    (event,) = OutboxEvent.objects.filter(type="quorate.node.online")
    assert event.organisation_id == tenant.organisation.pk


@pytest.fixture
def service_node(tenant: Tenant) -> Node:
    other = vaults.create_organisation(actor=ACTOR, name="without")
    vaults.set_service_signer(actor=ACTOR, organisation=other, enabled=False)
    return enrol("service", None)
