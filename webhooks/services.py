"""Writing to the outbox."""

from typing import Any

from webhooks.models import OutboxEvent


def emit(*, organisation_id: str, type: str, data: dict[str, Any]) -> OutboxEvent:
    """Add an event in the caller's transaction, so that it exists exactly if the change does."""
    return OutboxEvent.objects.create(organisation_id=organisation_id, type=type, data=data)
