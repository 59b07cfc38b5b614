"""What callers change: endpoints and their secrets, deliveries made again, test events.

Each function is one transaction with its audit row last, takes its actor explicitly and raises ServiceError.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit import services as audit
from vaults.actors import Actor
from vaults.errors import invalid, missing, wrong_state
from vaults.models import Organisation
from vaults.text import check_text
from webhooks import guard, outbox, selectors
from webhooks.catalogue import ALL
from webhooks.models import Delivery, DeliveryStatus, EndpointStatus, OutboxEvent, WebhookEndpoint
from webhooks.outcomes import give_up
from webhooks.samples import sample

MAX_ENDPOINTS = 50
MAX_OVERLAP_HOURS = 7 * 24
MAX_RESENT = 10_000
MAX_DESCRIPTION = 500
_MAX_OVERRIDE = 16 * 1024


def create_endpoint(
    *,
    actor: Actor,
    organisation: Organisation,
    url: str,
    subscribed_events: Sequence[str],
    description: str = "",
) -> WebhookEndpoint:
    """Make an active endpoint. Raises ServiceError 2003, 2006 naming the field; 2029 for too many.

    The URL is checked as far as its text goes: no name is looked up in a transaction.
    """
    try:
        guard.check(url)
    except guard.Refused as refused:
        raise invalid("url", str(refused)) from None
    _check_events(subscribed_events)
    check_text(description, field="description", max_length=MAX_DESCRIPTION)
    _check_room(organisation.pk)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.create(
            organisation_id=organisation.pk,
            url=url,
            description=description,
            subscribed_events=list(subscribed_events),
        )
        _audit(
            actor, "created", endpoint, {"host": guard.target_of(url).host, "events": list(subscribed_events)}
        )
    return endpoint


def update_endpoint(
    *,
    actor: Actor,
    endpoint: WebhookEndpoint,
    subscribed_events: Sequence[str] | None = None,
    status: str = "",
    description: str | None = None,
) -> WebhookEndpoint:
    """Change what is given. An endpoint that becomes inactive gives up what it has not got yet.

    Raises ServiceError 2006 naming the field; 2029 where there are too many active ones.
    """
    changes: dict[str, Any] = {}
    if subscribed_events is not None:
        _check_events(subscribed_events)
        changes["subscribed_events"] = list(subscribed_events)
    if status:
        if status not in EndpointStatus.values:
            raise invalid("status", f"must be one of {', '.join(EndpointStatus.values)}")
        changes["status"] = status
    if description is not None:
        changes["description"] = check_text(description, field="description", max_length=MAX_DESCRIPTION)
    if status == EndpointStatus.ACTIVE and endpoint.status != status:
        _check_room(endpoint.organisation_id)
        changes |= {"failing_since": None, "disabled_reason": ""}
    with transaction.atomic():
        rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
        rows.update(**changes, updated_at=timezone.now())
        if status == EndpointStatus.INACTIVE:
            give_up(endpoint)
        _audit(
            actor, "updated", endpoint, {name: changes[name] for name in changes if name != "failing_since"}
        )
    endpoint.refresh_from_db()
    return endpoint


def rotate_secret(*, actor: Actor, endpoint: WebhookEndpoint, overlap_hours: int) -> WebhookEndpoint:
    """Sign with new secrets from now on, and with the old ones as well for `overlap_hours` (W06).

    Raises ServiceError 2006; 2029 when somebody else rotated meanwhile.
    """
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise invalid("overlap_hours", f"must be between 0 and {MAX_OVERLAP_HOURS}")
    until = timezone.now() + timedelta(hours=overlap_hours)
    with transaction.atomic():
        unchanged = WebhookEndpoint.objects.filter(
            pk=endpoint.pk, secret_generation=endpoint.secret_generation
        )
        rotated = unchanged.update(
            secret_generation=F("secret_generation") + 1,
            previous_secret_until=until,
            updated_at=timezone.now(),
        )
        if rotated != 1:
            raise wrong_state("somebody else rotated the secret meanwhile; read it again")
        _audit(actor, "secret_rotated", endpoint, {"overlap_hours": overlap_hours})
    endpoint.refresh_from_db()
    return endpoint


def resend(*, actor: Actor, delivery: Delivery, delivered: bool = False) -> Delivery:
    """Try a delivery again now, with the whole schedule ahead of it and under the same webhook-id (W10).

    delivered: also one that has arrived. Raises ServiceError 2029.
    """
    endpoint = delivery.endpoint
    _check_active(endpoint)
    if delivery.status == DeliveryStatus.SUCCESS and not delivered:
        raise wrong_state("the event has been delivered: only Retrying and Failed ones are retried")
    with transaction.atomic():
        _due_now(Delivery.objects.filter(pk=delivery.pk))
        outbox.ring(endpoint)
        _audit(actor, "resent", endpoint, {"event_id": str(delivery.event.event_id)})
    delivery.refresh_from_db()
    return delivery


def resend_since(
    *,
    actor: Actor,
    endpoint: WebhookEndpoint,
    since: datetime,
    until: datetime | None = None,
    delivered: bool = False,
) -> int:
    """Deliver again what an endpoint missed in a time, also what came while it was inactive; how many (W10).

    delivered: also what has arrived. Raises ServiceError 2006 for a range that is empty or holds too many
    events; 2029 for an inactive endpoint.
    """
    _check_active(endpoint)
    end = until or timezone.now()
    if since >= end:
        raise invalid("since", "must be before until, and in the past")
    events = OutboxEvent.objects.filter(
        organisation_id=endpoint.organisation_id, created_at__gte=since, created_at__lt=end
    )
    had = Delivery.objects.filter(endpoint=endpoint, created_at__gte=since, created_at__lt=end)
    if not delivered:
        had = had.exclude(status=DeliveryStatus.SUCCESS)
    missed = events.filter(type__in=endpoint.subscribed_events).exclude(deliveries__endpoint=endpoint)
    with transaction.atomic():
        new = list(missed.order_by("sequence")[: MAX_RESENT + 1])
        if len(new) + had.count() > MAX_RESENT:
            raise invalid(
                "since", f"more than {MAX_RESENT} events: give an earlier until, then go on from there"
            )
        resent = _due_now(had)
        for event in new:
            outbox.address(event, [endpoint])
        outbox.ring(endpoint)
        detail = {"since": since.isoformat(), "until": end.isoformat(), "count": resent + len(new)}
        _audit(actor, "resent", endpoint, detail)
    return resent + len(new)


def send_test(
    *, actor: Actor, organisation: Organisation, type: str, override: Mapping[str, Any] | None = None
) -> OutboxEvent:
    """Deliver a test event to every active endpoint that subscribes to the type.

    override: fields of the data to say something else. Raises ServiceError 2006; 2029 where there is no such
    endpoint.
    """
    if type not in ALL:
        raise invalid("event_type", "is not a type of event; list the event definitions")
    text = json.dumps(dict(override or {}))
    if len(text) > _MAX_OVERRIDE or "\\u0000" in text:
        raise invalid("override_data", f"must have at most {_MAX_OVERRIDE} bytes, and no U+0000")
    kept = sample(type)
    data = kept | dict(override or {}) | {name: kept[name] for name in ("data_type", "test")}
    active = selectors.endpoints(organisation=organisation, status=EndpointStatus.ACTIVE, event_type=type)
    if not active.exists():
        raise wrong_state("no active endpoint subscribes to this type of event")
    with transaction.atomic():
        event = outbox.emit(organisation_id=str(organisation.pk), type=type, data=data)
        audit.record(
            actor=actor.label,
            act="webhook_event.test_sent",
            subject=f"webhook_event:{event.event_id}",
            detail={"type": type},
            organisation_id=str(organisation.pk),
        )
    return event


def _due_now(rows: Any) -> int:
    resent: int = rows.update(status=DeliveryStatus.RETRYING, tries=0, next_attempt_at=timezone.now())
    return resent


def _check_events(types: Sequence[str]) -> None:
    if not types:
        raise missing("subscribed_events")
    for position, type in enumerate(types):
        if type not in ALL:
            raise invalid(
                f"subscribed_events[{position}]", "is not a type of event; list the event definitions"
            )
    if len(set(types)) != len(types):
        raise invalid("subscribed_events", "names a type twice")


def _check_room(organisation_id: Any) -> None:
    active = WebhookEndpoint.objects.filter(organisation_id=organisation_id, status=EndpointStatus.ACTIVE)
    if active.count() >= MAX_ENDPOINTS:
        raise wrong_state(f"an organisation has at most {MAX_ENDPOINTS} active endpoints")


def _check_active(endpoint: WebhookEndpoint) -> None:
    if endpoint.status != EndpointStatus.ACTIVE:
        raise wrong_state("the endpoint is inactive: make it active first")


def _audit(actor: Actor, act: str, endpoint: WebhookEndpoint, detail: Mapping[str, Any]) -> None:
    audit.record(
        actor=actor.label,
        act=f"webhook_endpoint.{act}",
        subject=f"webhook_endpoint:{endpoint.pk}",
        detail=detail,
        organisation_id=str(endpoint.organisation_id),
    )
