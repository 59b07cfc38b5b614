"""Writing to the outbox: the event, and a delivery for everybody who wants to hear of it."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction

from leasing import doorbell
from webhooks.catalogue import ALL
from webhooks.models import Delivery, EndpointStatus, OutboxEvent, WebhookEndpoint

DELIVER = "webhooks.tasks.deliver"

# Each is called with the organisation of a new event, in its transaction: whoever waits for events is above
# this app, and rings from there (tss.apps).
listeners: list[Callable[[str], None]] = []


def emit(
    *, organisation_id: str, type: str, data: dict[str, Any], resource_version: int | None = None
) -> OutboxEvent:
    """Add an event and its deliveries in the caller's transaction: they exist if the change does (W09).

    data: thin (ids, states, public keys), with a `data_type`. resource_version: of the object it is about,
    where that has one. Raises ValueError for a type that the catalogue does not know.
    """
    if type not in ALL:
        raise ValueError(f"{type} is not in webhooks.catalogue")
    event = OutboxEvent.objects.create(
        organisation_id=organisation_id, type=type, data=data, resource_version=resource_version
    )
    endpoints = WebhookEndpoint.objects.filter(organisation_id=organisation_id, status=EndpointStatus.ACTIVE)
    address(event, [endpoint for endpoint in endpoints if type in endpoint.subscribed_events])
    for listen in listeners:
        listen(organisation_id)
    return event


def address(event: OutboxEvent, endpoints: Iterable[WebhookEndpoint]) -> None:
    """Make a delivery of the event to each endpoint, due now; workers are called after the commit."""
    deliveries = [
        Delivery(
            endpoint=endpoint,
            event=event,
            type=event.type,
            created_at=event.created_at,
            next_attempt_at=event.created_at,
        )
        for endpoint in endpoints
    ]
    # No endpoint's own row is written: a transaction that emits must not wait for another that does.
    Delivery.objects.bulk_create(deliveries)
    for delivery in deliveries:
        ring(delivery.endpoint)


def ring(endpoint: WebhookEndpoint) -> None:
    """Call a worker for the endpoint after the commit; when the broker is down the sweeper does it later."""
    transaction.on_commit(lambda: doorbell.send(DELIVER, str(endpoint.pk)), robust=True)
