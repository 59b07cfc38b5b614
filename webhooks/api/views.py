"""Webhook endpoints, events and their logs: the compatible API's calls, and native ones beside them."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.utils import timezone

from vaults.api.base import ApiView, Call
from vaults.api.operations import BOOLEAN, COUNT, Operation, Parameter, answer_object, choice, page_of, ref
from vaults.api.pagination import page
from vaults.api.schemas import PAGE
from vaults.errors import invalid
from webhooks import representation, selectors, services, signing
from webhooks.api.schemas import DELIVERY_STATUS, ENDPOINT_STATUS, TYPE
from webhooks.catalogue import ALL, COMPATIBLE
from webhooks.models import Delivery, DeliveryStatus, EndpointStatus, WebhookEndpoint

_TAG = "Webhooks"
_MAX_TIME = 253_402_300_799_999  # the year 9999, milliseconds
_DEFAULT_OVERLAP_HOURS = 24


class Endpoints(ApiView):
    scopes: ClassVar = {"GET": "webhook.read", "POST": "webhook.edit"}
    operations: ClassVar = {
        "GET": Operation(
            "Webhook endpoints",
            _TAG,
            (
                Parameter("status", ENDPOINT_STATUS, "Only those of this status"),
                Parameter("event_type", TYPE, "Only those that subscribe to this type"),
                *PAGE,
            ),
            answer=page_of("WebhookEndpoint", total=True),
        ),
        "POST": Operation(
            "Make a webhook endpoint",
            _TAG,
            body=ref("NewWebhookEndpoint"),
            answer=ref("WebhookEndpoint"),
            description="The URL must begin with https:// and lead to a public address.",
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        rows = selectors.endpoints(
            organisation=call.organisation,
            status=_choice(call, "status", EndpointStatus.values),
            event_type=_choice(call, "event_type", list(ALL)),
        )
        return page(rows, call, total=selectors.total(rows), shape=representation.endpoint)

    def answer_post(self, call: Call, **ids: str) -> Any:
        body = call.body()
        endpoint = services.create_endpoint(
            actor=call.actor,
            organisation=call.organisation,
            url=body.text("url"),
            subscribed_events=body.texts("subscribed_events", max_length=len(ALL)) or (),
            description=body.optional_text("description"),
        )
        return representation.endpoint(endpoint)


class EndpointById(ApiView):
    scopes: ClassVar = {"GET": "webhook.read", "PUT": "webhook.edit"}
    operations: ClassVar = {
        "GET": Operation("One webhook endpoint", _TAG, answer=ref("WebhookEndpoint")),
        "PUT": Operation(
            "Change a webhook endpoint",
            _TAG,
            body=ref("WebhookEndpointChange"),
            answer=ref("WebhookEndpoint"),
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.endpoint(_endpoint(call, ids))

    def answer_put(self, call: Call, **ids: str) -> Any:
        endpoint = _endpoint(call, ids)
        body = call.body()
        sent = body.fields()
        changed = services.update_endpoint(
            actor=call.actor,
            endpoint=endpoint,
            subscribed_events=body.texts("subscribed_events", max_length=len(ALL)),
            status=body.optional_text("status"),
            # "" takes a description away; null counts as absent.
            description=None if sent.get("description") is None else body.optional_text("description"),
        )
        return representation.endpoint(changed)


class Secret(ApiView):
    """What deliveries are verified with; native. Not in a POST's answer, which is stored for repeats."""

    scopes: ClassVar = {"GET": "webhook.edit"}
    operations: ClassVar = {
        "GET": Operation("What deliveries are verified with", _TAG, answer=ref("WebhookSecret")),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        endpoint = _endpoint(call, ids)
        newest, *before = signing.signer_of(endpoint, timezone.now()).secrets
        return {
            "secret": newest.secret,
            "public_key": newest.public_key,
            "previous": [{"secret": each.secret, "public_key": each.public_key} for each in before],
        }


class RotateSecret(ApiView):
    """New secrets, with the old ones valid for a while; native."""

    scopes: ClassVar = {"POST": "webhook.edit"}
    operations: ClassVar = {
        "POST": Operation(
            "New secrets",
            _TAG,
            body=ref("WebhookRotation"),
            body_required=False,
            answer=ref("WebhookEndpoint"),
        ),
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        endpoint = _endpoint(call, ids)
        hours = call.optional_body().optional_integer("overlap_hours")
        rotated = services.rotate_secret(
            actor=call.actor,
            endpoint=endpoint,
            overlap_hours=_DEFAULT_OVERLAP_HOURS if hours is None else hours,
        )
        return representation.endpoint(rotated)


class ResendSince(ApiView):
    """Everything that an endpoint missed in a time; native."""

    scopes: ClassVar = {"POST": "webhook.resend"}
    operations: ClassVar = {
        "POST": Operation(
            "Deliver again what was missed in a time",
            _TAG,
            body=ref("WebhookReplay"),
            answer=answer_object({"resent": COUNT}),
        ),
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        endpoint = _endpoint(call, ids)
        body = call.body()
        until = body.optional_integer("until")
        count = services.resend_since(
            actor=call.actor,
            endpoint=endpoint,
            since=_moment("since", body.integer("since")),
            until=None if until is None else _moment("until", until),
            delivered=body.boolean("delivered"),
        )
        return {"resent": count}


class Events(ApiView):
    scopes: ClassVar = {"GET": "webhook.read"}
    operations: ClassVar = {
        "GET": Operation(
            "Events of an endpoint",
            _TAG,
            (
                Parameter("status", DELIVERY_STATUS, "Only those of this status"),
                Parameter("type", TYPE, "Only those of this type"),
                *PAGE,
            ),
            answer=page_of("WebhookEvent", total=True),
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        rows = selectors.deliveries(
            endpoint=_endpoint(call, ids),
            status=_choice(call, "status", DeliveryStatus.values),
            type=_choice(call, "type", list(ALL)),
        )
        return page(rows, call, total=selectors.total(rows), shape=representation.event)


class EventById(ApiView):
    scopes: ClassVar = {"GET": "webhook.read"}
    operations: ClassVar = {
        "GET": Operation("One event of an endpoint", _TAG, answer=ref("WebhookEvent")),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.event(_delivery(call, ids))


class EventLogs(ApiView):
    scopes: ClassVar = {"GET": "webhook.read"}
    operations: ClassVar = {
        "GET": Operation(
            "Every try to deliver an event", _TAG, PAGE, answer=page_of("WebhookAttempt", total=True)
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        rows = selectors.attempts(_delivery(call, ids))
        return page(rows, call, total=selectors.total(rows), shape=representation.attempt)


class Retry(ApiView):
    scopes: ClassVar = {"POST": "webhook.resend"}
    operations: ClassVar = {
        "POST": Operation(
            "Retry an event that has not arrived", _TAG, answer=answer_object({"retried": BOOLEAN})
        ),
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        services.resend(actor=call.actor, delivery=_delivery(call, ids))
        return {"retried": True}


class Resend(ApiView):
    """One event again, also one that has arrived; native."""

    scopes: ClassVar = {"POST": "webhook.resend"}
    operations: ClassVar = {
        "POST": Operation("Deliver an event again", _TAG, answer=ref("WebhookEvent")),
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        delivery = services.resend(actor=call.actor, delivery=_delivery(call, ids), delivered=True)
        return representation.event(delivery)


class Definitions(ApiView):
    """A bare array, as the vendor answers it; `native=true` adds the types that the vendor does not have."""

    scopes: ClassVar = {"GET": None}
    operations: ClassVar = {
        "GET": Operation(
            "The types of events",
            _TAG,
            (Parameter("native", choice("true", "false"), "Also those that the vendor does not have"),),
            answer=ref("WebhookDefinitions"),
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        types = ALL if call.query("native") == "true" else COMPATIBLE
        return [{"event_type": type, "description": text} for type, text in types.items()]


class Trigger(ApiView):
    scopes: ClassVar = {"POST": "webhook.edit"}
    operations: ClassVar = {
        "POST": Operation(
            "Send a test event", _TAG, body=ref("WebhookTest"), answer=answer_object({"triggered": BOOLEAN})
        ),
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        body = call.body()
        services.send_test(
            actor=call.actor,
            organisation=call.organisation,
            type=body.text("event_type"),
            override=body.object("override_data"),
        )
        return {"triggered": True}


class CallbackMessages(ApiView):
    """API callbacks do not exist here, so there are no messages of them (docs/api.md)."""

    scopes: ClassVar = {"GET": "callback.read"}
    operations: ClassVar = {
        "GET": Operation(
            "API callbacks, of which there are none", _TAG, answer=page_of("WebhookEvent", total=True)
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return {"data": [], "pagination": {"before": "", "after": "", "total_count": 0}}


def _endpoint(call: Call, ids: dict[str, str]) -> WebhookEndpoint:
    return selectors.get_endpoint(organisation=call.organisation, endpoint_id=ids["endpoint_id"])


def _delivery(call: Call, ids: dict[str, str]) -> Delivery:
    return selectors.get_delivery(endpoint=_endpoint(call, ids), event_id=ids["event_id"])


def _choice(call: Call, name: str, choices: list[str]) -> str:
    value = call.query(name)
    if value and value not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return value


def _moment(field: str, milliseconds: int) -> datetime:
    if not 0 <= milliseconds <= _MAX_TIME:
        raise invalid(field, "must be a Unix time in milliseconds")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
