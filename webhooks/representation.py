"""How endpoints, events and attempts look from outside: one shape for the API and for what is delivered."""

from typing import Any

from vaults.representation import milliseconds
from webhooks.models import Attempt, Delivery, DeliveryStatus, OutboxEvent, WebhookEndpoint
from webhooks.schedule import MAX_TRIES


def endpoint(row: WebhookEndpoint) -> dict[str, Any]:
    """WebhookEndpoint and our extra fields."""
    return {
        "endpoint_id": str(row.pk),
        "url": row.url,
        "description": row.description,
        "subscribed_events": row.subscribed_events,
        "status": row.status,
        "created_timestamp": milliseconds(row.created_at),
        "updated_timestamp": milliseconds(row.updated_at),
        "disabled_reason": row.disabled_reason,
        "failing_since_timestamp": milliseconds(row.failing_since) if row.failing_since else None,
        "previous_secret_until_timestamp": (
            milliseconds(row.previous_secret_until) if row.previous_secret_until else None
        ),
    }


def facts(event: OutboxEvent) -> dict[str, Any]:
    """What is said of an event wherever it is told: in deliveries, in lists and in the live stream."""
    version = event.resource_version
    return {
        "event_id": str(event.event_id),
        "created_timestamp": milliseconds(event.created_at),
        "type": event.type,
        "data": event.data,
        "sequence": event.sequence,
        # Without a version of its own the object's is the number of its newest event, which rises as well.
        "resource_version": event.sequence if version is None else version,
    }


def payload(event: OutboxEvent, url: str) -> dict[str, Any]:
    """The WebhookEvent as it is delivered: the same at every attempt."""
    return {**facts(event), "url": url}


def event(row: Delivery) -> dict[str, Any]:
    """WebhookEvent with where its delivery stands; reads `event` and `endpoint`."""
    shape = payload(row.event, row.endpoint.url) | {"status": row.status}
    if row.status == DeliveryStatus.RETRYING and row.next_attempt_at is not None:
        shape["next_retry_timestamp"] = milliseconds(row.next_attempt_at)
        shape["retries_left"] = MAX_TRIES - row.tries
    return shape


def attempt(row: Attempt) -> dict[str, Any]:
    """WebhookEventLog; reads `delivery` with its event and endpoint."""
    return {
        "id": str(row.pk),
        "created_timestamp": milliseconds(row.created_at),
        "request_headers": row.request_headers,
        "request_body": payload(row.delivery.event, row.delivery.endpoint.url),
        "response_body": row.response_body,
        "response_status_code": row.response_status_code,
        "response_time": row.response_time,
        "success": row.success,
        "failure_reason": row.failure_reason,
    }
