"""Reads of endpoints, deliveries and attempts, through the organisation whose they are."""

import uuid
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from leasing.leases import free
from vaults.errors import not_found
from vaults.models import Organisation
from vaults.selectors import parse_id
from webhooks.models import Attempt, Delivery, EndpointStatus, WebhookEndpoint

# Totals of events and attempts are counted no further.
MAX_TOTAL = 10_000


def endpoints(
    *, organisation: Organisation, status: str = "", event_type: str = ""
) -> "QuerySet[WebhookEndpoint]":
    """The endpoints of an organisation; event_type: those that subscribe to it."""
    rows = WebhookEndpoint.objects.filter(organisation_id=organisation.pk)
    if status:
        rows = rows.filter(status=status)
    # In quotes, a type's name is part of no other's. SQLite cannot look into a list in another way.
    return rows.filter(subscribed_events__icontains=f'"{event_type}"') if event_type else rows


def get_endpoint(*, organisation: Organisation, endpoint_id: str) -> WebhookEndpoint:
    """Raises ServiceError 2028."""
    key = parse_id(endpoint_id)
    row = endpoints(organisation=organisation).filter(pk=key).first() if key else None
    if row is None:
        raise not_found("webhook endpoint")
    return row


def deliveries(*, endpoint: WebhookEndpoint, status: str = "", type: str = "") -> "QuerySet[Delivery]":
    """What was to be delivered to an endpoint, with its event."""
    rows = Delivery.objects.filter(endpoint=endpoint).select_related("event", "endpoint")
    if status:
        rows = rows.filter(status=status)
    return rows.filter(type=type) if type else rows


def get_delivery(*, endpoint: WebhookEndpoint, event_id: str) -> Delivery:
    """Raises ServiceError 2028."""
    key = parse_id(event_id)
    row = deliveries(endpoint=endpoint).filter(event__event_id=key).first() if key else None
    if row is None:
        raise not_found("webhook event")
    return row


def attempts(delivery: Delivery) -> "QuerySet[Attempt]":
    """Every try of a delivery."""
    rows = Attempt.objects.filter(delivery=delivery)
    return rows.select_related("delivery__event", "delivery__endpoint")


def total(rows: "QuerySet[Any]") -> int:
    """How many rows there are, MAX_TOTAL at most: a total must not cost what the list holds."""
    return min(MAX_TOTAL, rows.order_by()[: MAX_TOTAL + 1].count())


def due_endpoints(limit: int = 500) -> list[uuid.UUID]:
    """The endpoints that nobody serves although something is due."""
    now = timezone.now()
    due = Delivery.objects.filter(endpoint=OuterRef("pk"), next_attempt_at__lte=now)
    rows = WebhookEndpoint.objects.filter(free(now), Exists(due), status=EndpointStatus.ACTIVE)
    return list(rows.values_list("pk", flat=True)[:limit])
