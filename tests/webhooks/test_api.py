"""The calls of webhook endpoints and events, beside what the vendor's SDK shows (tests/live)."""

from typing import Any

import pytest

from tests.api.client import Client
from tests.api.conftest import ACTOR, VAULT_CREATED, Tenant
from tests.webhooks.conftest import deliver, emit, endpoint_of
from tests.webhooks.receiver import Receiver, Reply
from vaults import services as vaults
from vaults.models import SignedRequest
from webhooks import selectors, services
from webhooks.catalogue import ALL, COMPATIBLE
from webhooks.models import Delivery, WebhookEndpoint

pytestmark = pytest.mark.embedded

URL = "https://hooks.example.com/quorate"
BODY = {"url": URL, "subscribed_events": [VAULT_CREATED]}


def test_an_endpoint_and_its_extra_fields(tenant: Tenant) -> None:
    made = tenant.client.post("/webhooks/endpoints", BODY)
    assert made.status == 201
    assert (made.json["status"], made.json["description"]) == ("STATUS_ACTIVE", "")
    assert (made.json["disabled_reason"], made.json["failing_since_timestamp"]) == ("", None)
    read = tenant.client.get(f"/webhooks/endpoints/{made.json['endpoint_id']}")
    assert (read.status, read.json) == (200, made.json)


def test_no_stored_answer_holds_a_secret(tenant: Tenant) -> None:
    """W12: what a POST answers is kept for repeats; secrets come by GET only, and stand in no table."""
    endpoint_id = tenant.endpoint()
    tenant.client.post(f"/webhooks/endpoints/{endpoint_id}/rotate_secret")
    secret = tenant.client.get(f"/webhooks/endpoints/{endpoint_id}/secret").json["secret"]
    assert secret.startswith("whsec_")
    kept = b"".join(bytes(row.body) for row in SignedRequest.objects.all())
    assert b"whsec_" not in kept
    assert not [row for row in WebhookEndpoint.objects.values() if secret[6:] in str(row)]


def test_the_secret_needs_the_right_to_edit(tenant: Tenant) -> None:
    key = vaults.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="reader", scopes=("webhook.read",)
    )
    reader = Client(key.secret)
    path = f"/webhooks/endpoints/{tenant.endpoint()}"
    assert reader.get(path).status == 200
    assert reader.get(f"{path}/secret").error == (403, 2025, "")


BAD_ENDPOINTS: list[tuple[dict[str, Any], int, str]] = [
    ({"url": None}, 2003, "url"),
    ({"url": 5}, 2006, "url"),
    ({"url": "http://example.com/"}, 2006, "url"),
    ({"subscribed_events": None}, 2003, "subscribed_events"),
    ({"subscribed_events": []}, 2003, "subscribed_events"),
    ({"subscribed_events": "x"}, 2006, "subscribed_events"),
    ({"subscribed_events": [VAULT_CREATED, "x"]}, 2006, "subscribed_events[1]"),
    ({"subscribed_events": [VAULT_CREATED, VAULT_CREATED]}, 2006, "subscribed_events"),
    ({"description": "x" * 501}, 2006, "description"),
    ({"description": "\x07"}, 2006, "description"),
]
BAD_CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("", {"status": "STATUS_PENDING_ACTIVE"}, "status"),
    ("/rotate_secret", {"overlap_hours": 169}, "overlap_hours"),
    ("/rotate_secret", {"overlap_hours": -1}, "overlap_hours"),
    ("/resend", {"since": -1}, "since"),
    ("/resend", {"since": 99999999999999999}, "since"),
    ("/resend", {"since": 253402300799998}, "since"),
    ("/resend", {"since": 5, "until": 5}, "since"),
]


def test_bad_input_names_the_field(tenant: Tenant) -> None:
    for change, code, field in BAD_ENDPOINTS:
        reply = tenant.client.post("/webhooks/endpoints", BODY | change)
        assert reply.error == (400, code, field), change
    assert not WebhookEndpoint.objects.exists()


def test_bad_changes_name_the_field(tenant: Tenant) -> None:
    endpoint_id = tenant.endpoint()
    for path, body, field in BAD_CHANGES:
        send = tenant.client.put if not path else tenant.client.post
        assert send(f"/webhooks/endpoints/{endpoint_id}{path}", body).error == (400, 2006, field), body


def test_null_changes_nothing(tenant: Tenant) -> None:
    path = f"/webhooks/endpoints/{tenant.endpoint()}"
    nothing = {"description": None, "status": None, "subscribed_events": None}
    assert tenant.client.put(path, nothing).json["description"] == "for tests"
    assert tenant.client.put(path, {"description": ""}).json["description"] == ""


def test_at_most_so_many_active_endpoints(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_ENDPOINTS", 2)
    first, _ = tenant.endpoint(), tenant.endpoint()
    assert tenant.client.post("/webhooks/endpoints", BODY).error == (400, 2029, "")
    path = f"/webhooks/endpoints/{first}"
    assert tenant.client.put(path, {"status": "STATUS_INACTIVE"}).status == 200
    tenant.endpoint()
    assert tenant.client.put(path, {"status": "STATUS_ACTIVE"}).error == (400, 2029, "")


def test_lists_and_filters(tenant: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = endpoint_of(tenant, receiver.url)
    other = endpoint_of(tenant, receiver.url, "mpc_vaults.updated")
    get = tenant.client.get

    def ids(query: str) -> list[str]:
        return [row["endpoint_id"] for row in get("/webhooks/endpoints", query).json["data"]]

    assert ids("") == [str(other.pk), str(endpoint.pk)]
    assert ids(f"event_type={VAULT_CREATED}") == [str(endpoint.pk)]
    assert ids("status=STATUS_INACTIVE") == []
    assert get("/webhooks/endpoints", "status=x").error == (400, 2006, "status")
    for number in range(3):
        emit(tenant, number)
    receiver.answer = lambda request: Reply(500) if len(receiver.received) == 2 else Reply()
    deliver(endpoint)
    path = f"/webhooks/endpoints/{endpoint.pk}/events"
    assert get(path, "status=Success").json["pagination"]["total_count"] == 2
    (retrying,) = get(path, "status=Retrying").json["data"]
    assert retrying["retries_left"] == 10
    assert get(path, "type=mpc_vaults.updated").json["data"] == []
    assert get(path, "type=x").error == (400, 2006, "type")
    page = get(path, "limit=2").json
    rest = get(path, f"limit=2&after={page['pagination']['after']}").json
    sequences = [row["sequence"] for row in page["data"] + rest["data"]]
    assert sequences == sorted(sequences, reverse=True)
    assert len(sequences) == 3
    monkeypatch.setattr(selectors, "MAX_TOTAL", 2)
    assert get(path).json["pagination"]["total_count"] == 2


def test_definitions(tenant: Tenant) -> None:
    def types(query: str) -> list[str]:
        return [row["event_type"] for row in tenant.client.get("/webhooks/events/definitions", query).json]

    assert types("") == list(COMPATIBLE)
    assert types("native=true") == list(ALL)


def test_test_events_of_every_type(tenant: Tenant) -> None:
    body: dict[str, Any] = {"event_type": VAULT_CREATED}
    assert tenant.client.post("/webhooks/events/trigger", body).error == (400, 2029, "")
    endpoint = endpoint_of(tenant, URL, *ALL)
    body["override_data"] = {"name": "mine", "data_type": "Other", "test": False}
    for type in ALL:
        reply = tenant.client.post("/webhooks/events/trigger", body | {"event_type": type})
        assert reply.json == {"triggered": True}
        data = Delivery.objects.get(endpoint=endpoint, type=type).event.data
        assert (data["name"], data["test"]) == ("mine", True)
        assert data["data_type"] != "Other"


def test_bad_test_events(tenant: Tenant) -> None:
    tenant.endpoint()
    post = tenant.client.post
    assert post("/webhooks/events/trigger", {"event_type": "x"}).error == (400, 2006, "event_type")
    for override in ({"a": "x" * 20_000}, {"a": "\x00"}):
        body = {"event_type": VAULT_CREATED, "override_data": override}
        assert post("/webhooks/events/trigger", body).error == (400, 2006, "override_data")


def test_callbacks_do_not_exist(tenant: Tenant) -> None:
    empty = {"data": [], "pagination": {"before": "", "after": "", "total_count": 0}}
    assert tenant.client.get("/developers/callback_messages").json == empty
    assert tenant.client.post("/developers/callback_messages/x/retry").error == (404, 2028, "")
