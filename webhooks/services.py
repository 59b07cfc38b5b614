"""Writing to the outbox."""

from collections.abc import Callable
from typing import Any

from webhooks.models import OutboxEvent

# Each is called with the organisation of a new event, in its transaction: whoever waits for events is above
# this app, and rings from there (tss.apps).
listeners: list[Callable[[str], None]] = []


def emit(*, organisation_id: str, type: str, data: dict[str, Any]) -> OutboxEvent:
    """Add an event in the caller's transaction, so that it exists exactly if the change does."""
    event = OutboxEvent.objects.create(organisation_id=organisation_id, type=type, data=data)
    for listen in listeners:
        listen(organisation_id)
    return event
