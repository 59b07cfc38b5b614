"""The vendor's own SDK makes webhook endpoints on a live service, and reads what became of their events."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from nacl.signing import VerifyKey

from tests.api.client import double_sha256
from tests.live.sdk import ENVIRONMENTS, Seen, assert_documented, assert_error, drive
from tests.live.stack import Stack
from tests.webhooks.receiver import Received, receiving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Heard:
    """What the SDK saw, and what the receiver that it named got."""

    seen: Seen
    url: str
    received: list[Received]

    @property
    def results(self) -> dict[str, Any]:
        return self.seen.results


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def heard(stack: Stack, request: pytest.FixtureRequest) -> Heard:
    with receiving(2) as (receiver, closed):
        nobody = closed.url
        closed.close()
        seen = drive(stack, request.param, "webhooks", receiver=receiver.url, nobody=nobody)
        return Heard(seen, receiver.url, receiver.wait(3))


def test_every_answer_is_of_its_documented_type(heard: Heard) -> None:
    assert_documented(heard.seen)
    expected = {
        "definitions": "list of ListWebhookEventDefinitions200ResponseInner",
        "callback_messages": "ListCallbackMessages200Response",
        "endpoint": "WebhookEndpoint",
        "endpoint_read": "WebhookEndpoint",
        "endpoint_updated": "WebhookEndpoint",
        "endpoints": "ListWebhookEndpoints200Response",
        "events": "ListWebhookEvents200Response",
        "event": "WebhookEvent",
        "logs": "ListWebhookEventLogs200Response",
        "triggered": "TriggerTestWebhookEvent201Response",
        "retried": "RetryWebhookEventById201Response",
    }
    assert expected.items() <= heard.seen.types.items()


def test_endpoints(heard: Heard) -> None:
    endpoint = heard.results["endpoint"]
    assert (endpoint["url"], endpoint["status"]) == (heard.url, "STATUS_ACTIVE")
    assert heard.results["endpoint_read"] == endpoint
    assert endpoint in heard.results["endpoints"]["data"]
    updated = heard.results["endpoint_updated"]
    assert updated == endpoint | {"description": "changed", "subscribed_events": ["mpc_vaults.created"]}
    assert heard.results["deactivated"] == updated | {"status": "STATUS_INACTIVE"}
    assert heard.results["callback_messages"]["data"] == []


def test_events_and_logs(stack: Stack, heard: Heard) -> None:
    (event,) = heard.results["events"]["data"]
    assert heard.results["event"] == event
    assert event["status"] == "Success"
    assert event["data"]["vault_id"] == heard.results["vault"]["vault_id"]
    (attempt,) = heard.results["logs"]["data"]
    assert (attempt["success"], attempt["response_status_code"], attempt["response_body"]) == (
        True,
        200,
        "ok",
    )
    first, test, _ = heard.received
    assert json.loads(first.body)["event_id"] == event["event_id"] == first.webhook_id
    assert attempt["request_headers"]["webhook-signature"] == first.headers["webhook-signature"]
    assert json.loads(test.body)["data"]["name"] == "override"
    # As the vendor's consumers verify it.
    digest = double_sha256(first.body + b"|" + first.headers["BIZ-TIMESTAMP"].encode())
    signature = bytes.fromhex(first.headers["BIZ-RESP-SIGNATURE"])
    VerifyKey(bytes.fromhex(stack.response_key)).verify(digest, signature)


def test_what_nobody_hears_is_retried_until_it_is_given_up(heard: Heard) -> None:
    (event,) = heard.results["retrying"]["data"]
    assert event["retries_left"] == 10
    assert event["next_retry_timestamp"] > event["created_timestamp"]
    assert heard.results["retried"] == {"retried": True}
    assert heard.results["given_up"]["status"] == "Failed"


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ("retried_delivered", "BadRequestException", 2029),
        ("forbidden_url", "BadRequestException", 2006),
        ("no_body", "BadRequestException", 2003),
        ("unknown_endpoint", "NotFoundException", 2028),
        ("unknown_event", "NotFoundException", 2028),
    ],
)
def test_errors_are_typed(heard: Heard, step: str, kind: str, code: int) -> None:
    assert_error(heard.seen, step, kind, code)
