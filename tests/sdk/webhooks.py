"""Webhook endpoints, events, logs, retries and test events."""

from typing import Any

import cobo_waas2
from cobo_waas2 import (
    CreateWebhookEndpointRequest,
    TriggerTestWebhookEventRequest,
    UpdateWebhookEndpointByIdRequest,
    WebhookEndpointStatus,
    WebhookEventStatus,
    WebhookEventType,
)

from tests.sdk.client import Client
from tests.sdk.create import UNKNOWN

VAULT = WebhookEventType("mpc_vaults.created")
REQUEST = WebhookEventType("wallets.mpc.tss_request.created")


class Webhooks(Client):
    """receiver: the address of one that answers; nobody: one where nothing listens."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        super().__init__(parameters)
        self.hooks = cobo_waas2.DevelopersWebhooksApi(self.client)
        self.receiver: str = parameters["receiver"]
        self.nobody: str = parameters["nobody"]

    def run(self) -> None:
        self.keep("definitions", self.hooks.list_webhook_event_definitions())
        self.keep("callback_messages", self.developers.list_callback_messages())
        endpoint_id = self.endpoints()
        self.events(endpoint_id)
        self.failing()
        self.failures(endpoint_id)
        inactive = UpdateWebhookEndpointByIdRequest(status=WebhookEndpointStatus("STATUS_INACTIVE"))
        self.keep("deactivated", self.hooks.update_webhook_endpoint_by_id(endpoint_id, inactive))

    def create(self, url: str, step: str) -> str:
        body = CreateWebhookEndpointRequest(
            url=url, subscribed_events=[VAULT, REQUEST], description=f"{self.label} é/&"
        )
        endpoint = self.keep(step, self.hooks.create_webhook_endpoint(create_webhook_endpoint_request=body))
        return str(endpoint["endpoint_id"])

    def endpoints(self) -> str:
        endpoint_id = self.create(self.receiver, "endpoint")
        self.keep("endpoint_read", self.hooks.get_webhook_endpoint_by_id(endpoint_id))
        active = WebhookEndpointStatus("STATUS_ACTIVE")
        self.keep("endpoints", self.hooks.list_webhook_endpoints(status=active, event_type=VAULT, limit=50))
        changed = UpdateWebhookEndpointByIdRequest(subscribed_events=[VAULT], description="changed")
        self.keep("endpoint_updated", self.hooks.update_webhook_endpoint_by_id(endpoint_id, changed))
        return endpoint_id

    def events(self, endpoint_id: str) -> None:
        self.vault("hooked", "vault")
        events = self.until(
            lambda: self.hooks.list_webhook_events(
                endpoint_id, status=WebhookEventStatus("Success"), type=VAULT, limit=10
            ),
            lambda page: len(page.data) == 1,
        )
        event_id = self.keep("events", events)["data"][0]["event_id"]
        self.keep("event", self.hooks.get_webhook_event_by_id(event_id, endpoint_id))
        self.keep("logs", self.hooks.list_webhook_event_logs(event_id, endpoint_id, limit=10))
        self.fail("retried_delivered", lambda: self.hooks.retry_webhook_event_by_id(event_id, endpoint_id))
        test = TriggerTestWebhookEventRequest(event_type=VAULT, override_data={"name": "override"})
        self.keep("triggered", self.hooks.trigger_test_webhook_event(test))
        both = self.until(
            lambda: self.hooks.list_webhook_events(endpoint_id, status=WebhookEventStatus("Success")),
            lambda page: len(page.data) == 2,
        )
        self.keep("events_with_test", both)

    def failing(self) -> None:
        endpoint_id = self.create(self.nobody, "dead_endpoint")
        self.vault("unheard", "unheard_vault")
        retrying = self.until(
            lambda: self.hooks.list_webhook_events(endpoint_id, status=WebhookEventStatus("Retrying")),
            lambda page: bool(page.data) and page.data[0].retries_left < 11,
        )
        event_id = self.keep("retrying", retrying)["data"][0]["event_id"]
        self.keep("retried", self.hooks.retry_webhook_event_by_id(event_id, endpoint_id))
        inactive = UpdateWebhookEndpointByIdRequest(status=WebhookEndpointStatus("STATUS_INACTIVE"))
        self.hooks.update_webhook_endpoint_by_id(endpoint_id, inactive)
        self.keep("given_up", self.hooks.get_webhook_event_by_id(event_id, endpoint_id))

    def failures(self, endpoint_id: str) -> None:
        forbidden = CreateWebhookEndpointRequest(url="https://169.254.169.254/", subscribed_events=[VAULT])
        self.fail("forbidden_url", lambda: self.hooks.create_webhook_endpoint(forbidden))
        self.fail("unknown_endpoint", lambda: self.hooks.get_webhook_endpoint_by_id(UNKNOWN))
        self.fail("unknown_event", lambda: self.hooks.get_webhook_event_by_id(UNKNOWN, endpoint_id))
        self.fail("no_body", lambda: self.hooks.create_webhook_endpoint())
