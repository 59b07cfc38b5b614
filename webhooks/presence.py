"""Nodes come and go: events for it are derived from when a node last called."""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from vaults.models import Node, NodeKind, Organisation
from webhooks import outbox
from webhooks.models import NodePresence


def announce_changes() -> None:
    """Emit online and offline for every node of which something else was announced last."""
    limit = timezone.now() - timedelta(seconds=settings.QUORATE["NODE_ONLINE_S"])
    seen = Node.objects.filter(last_seen_at__gte=limit)
    known = NodePresence.objects.filter(online=True).values("tss_node_id")
    for node in seen.exclude(pk__in=known):
        _announce(node, online=True)
    for node in Node.objects.filter(pk__in=known).exclude(last_seen_at__gte=limit):
        _announce(node, online=False)


def _announce(node: Node, *, online: bool) -> None:
    with transaction.atomic():
        if not _changed(node.tss_node_id, online):  # another sweeper was faster
            return
        for organisation_id in _concerned(node):
            outbox.emit(
                organisation_id=organisation_id,
                type="quorate.node.online" if online else "quorate.node.offline",
                data={"data_type": "Node", "tss_node_id": node.tss_node_id, "name": node.name},
            )


def _changed(tss_node_id: str, online: bool) -> bool:
    """Note the change by compare-and-swap; whether this call did."""
    now = timezone.now()
    if NodePresence.objects.filter(pk=tss_node_id, online=not online).update(online=online, changed_at=now):
        return True
    if not online:
        return False
    try:
        with transaction.atomic():
            NodePresence.objects.create(tss_node_id=tss_node_id, online=online, changed_at=now)
    except IntegrityError:
        return False
    return True


def _concerned(node: Node) -> list[str]:
    """The organisations that the node may hold shares for: its own, or all that use the service's signer."""
    if node.kind != NodeKind.SERVICE:
        return [str(node.organisation_id)]
    users = Organisation.objects.filter(service_signer_enabled=True).order_by("pk")
    return [str(pk) for pk in users.values_list("pk", flat=True)]
