"""The shapes of webhooks.representation, as the OpenAPI document shows them."""

from vaults.api.operations import (
    BOOLEAN,
    COUNT,
    TEXT,
    TIME,
    UUID,
    Schema,
    answer_object,
    array,
    body_object,
    choice,
    nullable,
)
from webhooks.catalogue import ALL
from webhooks.models import DeliveryStatus, EndpointStatus

EVENT_TYPE = choice(*ALL)
_EVENT_TYPES = array(EVENT_TYPE, maxItems=len(ALL))
_ENDPOINT_STATUS = choice(*EndpointStatus.values)
_DESCRIPTION: Schema = {"type": "string", "maxLength": 500}
_SECRETS = {"secret": TEXT, "public_key": TEXT}
_PAYLOAD = {
    "event_id": UUID,
    "url": TEXT,
    "created_timestamp": TIME,
    "type": TEXT,
    "data": {"type": "object"},
    "sequence": COUNT,
    "resource_version": COUNT,
}

SCHEMAS: dict[str, Schema] = {
    "WebhookEndpoint": answer_object(
        {
            "endpoint_id": UUID,
            "url": TEXT,
            "description": TEXT,
            "subscribed_events": array(TEXT),
            "status": _ENDPOINT_STATUS,
            "created_timestamp": TIME,
            "updated_timestamp": TIME,
            "disabled_reason": TEXT,
            "failing_since_timestamp": nullable(TIME),
            "previous_secret_until_timestamp": nullable(TIME),
        }
    ),
    "NewWebhookEndpoint": body_object(
        {"url": {"type": "string", "maxLength": 500}, "subscribed_events": _EVENT_TYPES},
        {"description": _DESCRIPTION},
    ),
    "WebhookEndpointChanges": body_object(
        {}, {"subscribed_events": _EVENT_TYPES, "status": _ENDPOINT_STATUS, "description": _DESCRIPTION}
    ),
    "WebhookSecrets": answer_object({**_SECRETS, "previous": array(answer_object(_SECRETS))}),
    "WebhookEvent": answer_object(
        {**_PAYLOAD, "status": choice(*DeliveryStatus.values)},
        {"next_retry_timestamp": TIME, "retries_left": COUNT},
    ),
    "WebhookEventLog": answer_object(
        {
            "id": TEXT,
            "created_timestamp": TIME,
            "request_headers": {"type": "object"},
            "request_body": answer_object(_PAYLOAD),
            "response_body": TEXT,
            "response_status_code": nullable({"type": "integer"}),
            "response_time": nullable(COUNT),
            "success": BOOLEAN,
            "failure_reason": TEXT,
        }
    ),
    "WebhookEventDefinition": answer_object({"event_type": EVENT_TYPE, "description": TEXT}),
    "WebhookTrigger": body_object({"event_type": EVENT_TYPE}, {"override_data": {"type": "object"}}),
    "ResendSince": body_object({"since": TIME}, {"until": TIME, "delivered": BOOLEAN}),
    # API callbacks do not exist here.
    "NoCallbackMessages": answer_object(
        {
            "data": array(TEXT, maxItems=0),
            "pagination": answer_object({"before": TEXT, "after": TEXT, "total_count": COUNT}),
        }
    ),
}
