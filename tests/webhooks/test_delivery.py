"""What arrives: once the change is committed, signed in every way, under one id, in a schedule over days."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from standardwebhooks import Webhook, WebhookVerificationError

from audit.models import AuditRow
from config.response_signing import public_key
from leasing import doorbell
from tests.api.client import double_sha256
from tests.api.conftest import ACTOR, VAULT_CREATED, Tenant
from tests.webhooks.conftest import deliver, emit, endpoint_of, state_of
from tests.webhooks.receiver import Received, Receiver, Reply
from webhooks import courier, schedule, services, signing, tasks
from webhooks.models import Attempt, Delivery, OutboxEvent, WebhookEndpoint

pytestmark = pytest.mark.embedded


@pytest.fixture
def endpoint(tenant: Tenant, receiver: Receiver) -> WebhookEndpoint:
    return endpoint_of(tenant, receiver.url)


def secret_of(tenant: Tenant, endpoint: WebhookEndpoint) -> dict[str, Any]:
    answer: dict[str, Any] = tenant.client.get(f"/webhooks/endpoints/{endpoint.pk}/secret").json
    return answer


def make_due() -> None:
    Delivery.objects.filter(status="Retrying").update(next_attempt_at=timezone.now())


def v1a(request: Received, key: str) -> None:
    """Raises BadSignatureError if no v1a signature is the key's."""
    verify = VerifyKey(base64.b64decode(key.removeprefix("whpk_")))
    text = f"{request.webhook_id}.{request.headers['webhook-timestamp']}.".encode() + request.body
    for each in request.headers["webhook-signature"].split(" "):
        version, signature = each.split(",")
        if version == "v1a":
            try:
                verify.verify(text, base64.b64decode(signature))
            except BadSignatureError:
                continue
            return
    raise BadSignatureError


def test_every_delivery_carries_all_signatures(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    """The published receiver's library verifies it unchanged; so do the vendor's scheme and v1a."""
    event = emit(tenant)
    deliver(endpoint)
    (request,) = receiver.received
    secrets = secret_of(tenant, endpoint)
    payload = Webhook(secrets["secret"]).verify(request.body, request.headers)
    assert payload["event_id"] == request.webhook_id == str(event.event_id)
    assert (payload["type"], payload["url"]) == (VAULT_CREATED, receiver.url)
    assert payload["data"] == {"data_type": "MPCVault", "name": "vault 0"}
    v1a(request, secrets["public_key"])
    digest = double_sha256(request.body + b"|" + request.headers["BIZ-TIMESTAMP"].encode())
    signature = bytes.fromhex(request.headers["BIZ-RESP-SIGNATURE"])
    VerifyKey(bytes.fromhex(public_key())).verify(digest, signature)
    assert state_of(endpoint) == [("Success", 1)]


def test_w05_a_receiver_refuses_what_is_old_or_changed(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    """A recorded delivery is of no use after five minutes, nor under another time; its id tells a repeat."""
    emit(tenant)
    deliver(endpoint)
    (request,) = receiver.received
    webhook = Webhook(secret_of(tenant, endpoint)["secret"])
    webhook.verify(request.body, request.headers)
    old = str(int(request.headers["webhook-timestamp"]) - 301)
    with pytest.raises(WebhookVerificationError, match="too old"):
        webhook.verify(request.body, request.headers | {"webhook-timestamp": old})
    later = str(int(request.headers["webhook-timestamp"]) + 1)
    for changed in ({"webhook-timestamp": later}, {"webhook-id": str(endpoint.pk)}):
        with pytest.raises(WebhookVerificationError, match="No matching"):
            webhook.verify(request.body, request.headers | changed)
    with pytest.raises(WebhookVerificationError, match="No matching"):
        webhook.verify(request.body + b" ", request.headers)


def test_w06_both_signatures_while_secrets_overlap(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    before = secret_of(tenant, endpoint)
    path = f"/webhooks/endpoints/{endpoint.pk}/rotate_secret"
    assert tenant.client.post(path, {"overlap_hours": 1}).status == 201
    now = secret_of(tenant, endpoint)
    assert now["secret"] != before["secret"]
    assert now["previous"] == [{key: before[key] for key in ("secret", "public_key")}]
    emit(tenant)
    deliver(endpoint)
    for secrets in (before, now):
        Webhook(secrets["secret"]).verify(receiver.received[0].body, receiver.received[0].headers)
        v1a(receiver.received[0], secrets["public_key"])
    WebhookEndpoint.objects.update(previous_secret_until=timezone.now())
    emit(tenant)
    deliver(endpoint)
    request = receiver.received[1]
    Webhook(now["secret"]).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(before["secret"]).verify(request.body, request.headers)
    with pytest.raises(BadSignatureError):
        v1a(request, before["public_key"])


def test_two_endpoints_never_share_a_secret(tenant: Tenant, receiver: Receiver) -> None:
    first, second = endpoint_of(tenant, receiver.url), endpoint_of(tenant, receiver.url)
    assert secret_of(tenant, first)["secret"] != secret_of(tenant, second)["secret"]
    assert signing.secrets_of(first, 1).public_key != signing.secrets_of(first, 2).public_key


def test_w07_order_can_be_told_when_the_first_comes_last(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    """The first event fails once and the second overtakes it: its sequence says which is newer."""
    types = ("wallets.mpc.tss_request.created", "wallets.mpc.tss_request.succeeded")
    services.update_endpoint(actor=ACTOR, endpoint=endpoint, subscribed_events=types)
    vault_id = tenant.vault()
    request_id = tenant.request(vault_id, tenant.group(vault_id))
    replies = [Reply(500), Reply(), Reply()]
    receiver.answer = lambda request: replies.pop(0)
    deliver(endpoint)
    services.send_test(actor=ACTOR, organisation=tenant.organisation, type=types[1])
    deliver(endpoint)
    make_due()
    deliver(endpoint)
    first, overtaking, retried = [json.loads(request.body) for request in receiver.received]
    assert first == retried
    assert first["data"]["tss_request_id"] == request_id
    assert first["resource_version"] == 0
    assert first["sequence"] < overtaking["sequence"]


def test_w07_versions_rise_with_each_change_of_a_request(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    types = [f"wallets.mpc.tss_request.{what}" for what in ("created", "updated", "failed")]
    services.update_endpoint(actor=ACTOR, endpoint=endpoint, subscribed_events=types)
    vault_id = tenant.vault()
    request_id = tenant.request(vault_id, tenant.group(vault_id))
    tenant.client.post(f"/requests/{request_id}/cancel")
    deliver(endpoint)
    payloads = [json.loads(request.body) for request in receiver.received]
    assert [payload["resource_version"] for payload in payloads] == [0, 1]
    assert [payload["data"]["state"] for payload in payloads] == ["AwaitingApproval", "Cancelled"]


def test_w09_what_is_rolled_back_is_never_sent(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    with transaction.atomic():
        emit(tenant, 1)
        transaction.set_rollback(True)
    assert not OutboxEvent.objects.filter(type=VAULT_CREATED).exists()
    emit(tenant, 2)
    deliver(endpoint)
    assert [json.loads(request.body)["data"]["name"] for request in receiver.received] == ["vault 2"]


def test_same_id_and_body_but_a_fresh_time_at_every_try(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    replies = [Reply(503), Reply(302), Reply(200)]
    receiver.answer = lambda request: replies.pop(0)
    emit(tenant)
    for _ in range(3):
        make_due()
        deliver(endpoint)
    first, second, third = receiver.received
    assert first.webhook_id == second.webhook_id == third.webhook_id
    assert first.body == second.body == third.body
    assert first.headers["BIZ-TIMESTAMP"] < second.headers["BIZ-TIMESTAMP"] < third.headers["BIZ-TIMESTAMP"]
    assert state_of(endpoint) == [("Success", 3)]
    logged = list(Attempt.objects.order_by("pk").values_list("success", "response_status_code"))
    assert logged == [(False, 503), (False, 302), (True, 200)]


def test_schedule_runs_over_days_and_ends(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    """docs/webhooks.md, "When it is tried again": eleven tries, each wait within its jitter."""
    receiver.answer = lambda request: Reply(500)
    emit(tenant)
    for tries, delay in enumerate(schedule.DELAYS_S, start=1):
        make_due()
        before = timezone.now()
        courier.serve(endpoint.pk)
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.tries) == ("Retrying", tries)
        assert delivery.next_attempt_at is not None
        wait = (delivery.next_attempt_at - before).total_seconds()
        assert delay <= wait <= delay * 1.2 + 30
    make_due()
    deliver(endpoint)
    assert state_of(endpoint) == [("Failed", schedule.MAX_TRIES)]
    assert len(receiver.received) == Attempt.objects.count() == schedule.MAX_TRIES
    assert sum(schedule.DELAYS_S) > 3 * 24 * 3600


def test_retry_after_is_honoured() -> None:
    """Where it asks for more than the schedule, up to a day."""
    now = timezone.now()
    for header, least, most in (
        ("120", 120, 120),
        ("999999999", 86_400, 86_400),
        ("1", 5, 6),
        ("soon", 5, 6),
        ("", 5, 6),
        ("-5", 5, 6),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 5, 6),
        ("Wed, 01 Jan 2200 00:00:00 GMT", 86_400, 86_400),
    ):
        due = schedule.next_try(tries=1, retry_after=header, now=now)
        assert due is not None
        assert least <= (due - now).total_seconds() <= most, header


def test_retry_after_of_a_real_answer(tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    receiver.answer = lambda request: Reply(429, {"Retry-After": "120"})
    emit(tenant)
    before = timezone.now()
    courier.serve(endpoint.pk)
    due = Delivery.objects.get().next_attempt_at
    assert due is not None
    assert due >= before + timedelta(seconds=120)


def test_one_connection_for_many_deliveries(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    for number in range(120):
        emit(tenant, number)
    deliver(endpoint)
    names = [json.loads(request.body)["data"]["name"] for request in receiver.received]
    assert names == [f"vault {number}" for number in range(120)]
    assert receiver.connections == 1
    assert state_of(endpoint) == [("Success", 1)] * 120


def test_a_connection_that_was_closed_while_idle_costs_no_try(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    receiver.answer = lambda request: Reply(200, {"Connection": "close"})
    for number in range(3):
        emit(tenant, number)
        deliver(endpoint)
    assert receiver.connections == 3
    assert state_of(endpoint) == [("Success", 1)] * 3


def test_only_subscribers_of_the_same_organisation_hear_of_it(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    other = endpoint_of(tenant, receiver.url, "mpc_vaults.updated")
    inactive = endpoint_of(tenant, receiver.url)
    services.update_endpoint(actor=ACTOR, endpoint=inactive, status="STATUS_INACTIVE")
    tenant.vault()
    assert [delivery.endpoint for delivery in Delivery.objects.all()] == [endpoint]
    assert state_of(other) == state_of(inactive) == []


def test_w10_resend_one_under_the_same_id(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    event = emit(tenant)
    deliver(endpoint)
    path = f"/webhooks/endpoints/{endpoint.pk}/events/{event.event_id}"
    assert tenant.client.post(f"{path}/retry").error == (400, 2029, "")
    reply = tenant.client.post(f"{path}/resend")
    assert (reply.status, reply.json["status"]) == (201, "Retrying")
    deliver(endpoint)
    first, second = receiver.received
    assert first.webhook_id == second.webhook_id
    assert first.headers["BIZ-TIMESTAMP"] < second.headers["BIZ-TIMESTAMP"]
    row = AuditRow.objects.get(act="webhook_endpoint.resent")
    assert str(event.event_id) in row.detail


def test_w10_replay_of_an_outage(tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    """Failed ones, and those that came while the endpoint was inactive; not what had arrived."""
    arrived = emit(tenant, 0)
    deliver(endpoint)
    receiver.answer = lambda request: Reply(500)
    failed = emit(tenant, 1)
    deliver(endpoint)
    services.update_endpoint(actor=ACTOR, endpoint=endpoint, status="STATUS_INACTIVE")
    missed = emit(tenant, 2)
    since = int((arrived.created_at - timedelta(seconds=1)).timestamp() * 1000)
    path = f"/webhooks/endpoints/{endpoint.pk}/resend"
    assert tenant.client.post(path, {"since": since}).error == (400, 2029, "")
    tenant.client.put(f"/webhooks/endpoints/{endpoint.pk}", {"status": "STATUS_ACTIVE"})
    receiver.answer = lambda request: Reply()
    assert tenant.client.post(path, {"since": since}).json == {"resent": 2}
    deliver(endpoint)
    assert [r.webhook_id for r in receiver.received[2:]] == [str(e.event_id) for e in (failed, missed)]
    assert tenant.client.post(path, {"since": since}).json == {"resent": 0}
    assert tenant.client.post(path, {"since": since, "delivered": True}).json == {"resent": 3}
    deliver(endpoint)
    assert len(receiver.received) == 7
    assert AuditRow.objects.filter(act="webhook_endpoint.resent").count() == 3


def test_the_lease_keeps_a_second_worker_away_and_fences_the_first(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    """T01, T03: one worker at a time; who slept past its lease writes nothing down."""
    emit(tenant)

    def taken_over(request: Received) -> Reply:
        assert courier.serve(endpoint.pk) is False
        WebhookEndpoint.objects.update(fence=100)
        return Reply()

    receiver.answer = taken_over
    assert courier.serve(endpoint.pk) is False
    assert len(receiver.received) == 1
    assert state_of(endpoint) == [("Retrying", 0)]
    assert not Attempt.objects.exists()


def test_t02_the_sweeper_rings_for_what_was_lost(
    tenant: Tenant, receiver: Receiver, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, ...]] = []
    monkeypatch.setattr(doorbell, "send", lambda *words: rung.append(words))
    tasks.sweep()
    assert rung == []
    emit(tenant)
    rung.clear()
    tasks.sweep()
    assert rung == [("webhooks.tasks.deliver", str(endpoint.pk))]
