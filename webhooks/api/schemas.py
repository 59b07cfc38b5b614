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
    ref,
)
from webhooks.catalogue import ALL
from webhooks.guard import MAX_URL
from webhooks.models import DeliveryStatus, EndpointStatus
from webhooks.services import MAX_DESCRIPTION, MAX_OVERLAP_HOURS

TYPE: Schema = choice(*ALL)
ENDPOINT_STATUS: Schema = choice(*EndpointStatus.values)
DELIVERY_STATUS: Schema = choice(*DeliveryStatus.values)
_URL: Schema = {"type": "string", "maxLength": MAX_URL}
_DESCRIPTION: Schema = {"type": "string", "maxLength": MAX_DESCRIPTION}
_TYPES: Schema = array(TYPE, minItems=1, maxItems=len(ALL))
_PAYLOAD: dict[str, Schema] = {
    "event_id": UUID,
    "url": _URL,
    "created_timestamp": TIME,
    "type": TYPE,
    "data": {"type": "object", "description": "By `data_type`", "required": ["data_type"]},
    "sequence": COUNT,
    "resource_version": COUNT,
}
_KEYS: dict[str, Schema] = {"secret": TEXT, "public_key": TEXT}

SCHEMAS: dict[str, Schema] = {
    "WebhookEndpoint": answer_object(
        {
            "endpoint_id": UUID,
            "url": _URL,
            "description": _DESCRIPTION,
            "subscribed_events": array(TYPE),
            "status": ENDPOINT_STATUS,
            "created_timestamp": TIME,
            "updated_timestamp": TIME,
            "disabled_reason": TEXT,
            "failing_since_timestamp": nullable(TIME),
            "previous_secret_until_timestamp": nullable(TIME),
        }
    ),
    "WebhookPayload": answer_object(_PAYLOAD),
    "WebhookEvent": answer_object(
        _PAYLOAD | {"status": DELIVERY_STATUS},
        {"next_retry_timestamp": TIME, "retries_left": COUNT},
    ),
    "WebhookAttempt": answer_object(
        {
            "id": TEXT,
            "created_timestamp": TIME,
            "request_headers": {"type": "object", "additionalProperties": TEXT},
            "request_body": ref("WebhookPayload"),
            "response_body": TEXT,
            "response_status_code": nullable(COUNT),
            "response_time": COUNT,
            "success": BOOLEAN,
            "failure_reason": TEXT,
        }
    ),
    "WebhookSecret": answer_object({**_KEYS, "previous": array(answer_object(_KEYS))}),
    "WebhookDefinitions": array(answer_object({"event_type": TYPE, "description": TEXT})),
    "NewWebhookEndpoint": body_object(
        {"url": _URL, "subscribed_events": _TYPES}, {"description": _DESCRIPTION}
    ),
    "WebhookEndpointChange": body_object(
        {}, {"subscribed_events": _TYPES, "status": ENDPOINT_STATUS, "description": _DESCRIPTION}
    ),
    "WebhookRotation": body_object(
        {}, {"overlap_hours": {"type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_HOURS}}
    ),
    "WebhookReplay": body_object({"since": TIME}, {"until": TIME, "delivered": BOOLEAN}),
    "WebhookTest": body_object({"event_type": TYPE}, {"override_data": {"type": "object"}}),
}
