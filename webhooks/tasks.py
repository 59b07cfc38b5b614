"""Celery tasks: each takes an id and calls a service; all of them may run twice or not at all."""

import uuid

from celery import shared_task

from leasing import doorbell
from webhooks import couriers, presence, selectors
from webhooks.outbox import DELIVER


@shared_task(name=DELIVER)
def deliver(endpoint_id: str) -> None:
    """Have what is due to an endpoint delivered."""
    couriers.dispatch(uuid.UUID(endpoint_id))


@shared_task(name="webhooks.tasks.sweep", expires=10)
def sweep() -> None:
    """Ring for endpoints with due deliveries that nobody serves; announce nodes that came or went."""
    for endpoint_id in selectors.due_endpoints():
        doorbell.send(DELIVER, str(endpoint_id))
    presence.announce_changes()
