"""W08: an endpoint that is gone or dead is switched off, and its owners hear of it by other ways."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from audit.models import AuditRow
from tests.api.conftest import ACTOR, Tenant
from tests.webhooks.conftest import deliver, emit, endpoint_of, state_of
from tests.webhooks.receiver import Receiver, Reply
from vaults import services as vaults
from webhooks import courier
from webhooks.models import Attempt, Delivery, OutboxEvent, WebhookEndpoint

pytestmark = pytest.mark.embedded

DISABLED = "quorate.webhook_endpoint.disabled"


@pytest.fixture
def admins(tenant: Tenant) -> None:
    for name, role in (("ann", "admin"), ("bob", "admin"), ("carl", "operator")):
        user = vaults.create_user(actor=ACTOR, username=name, password="x")
        user.email = f"{name}@example.com"
        user.save()
        vaults.add_member(actor=ACTOR, organisation=tenant.organisation, user=user, role=role, name=name)


def check_told(mails: list[Any], endpoint: WebhookEndpoint, reason: str) -> None:
    """By mail, by an event to the other endpoints, in the audit log."""
    assert sorted(mail.to for mail in mails) == [["ann@example.com"], ["bob@example.com"]]
    assert str(endpoint.pk) in mails[0].body
    assert reason in mails[0].body
    assert endpoint.url not in mails[0].body
    row = AuditRow.objects.get(act="webhook_endpoint.disabled")
    assert (row.actor, row.subject) == ("system:webhooks", f"webhook_endpoint:{endpoint.pk}")
    assert reason in row.detail
    assert OutboxEvent.objects.get(type=DISABLED).data["endpoint_id"] == str(endpoint.pk)


def test_w08_410_disables_at_once(
    tenant: Tenant, receiver: Receiver, admins: None, mailoutbox: list[Any]
) -> None:
    endpoint, other = endpoint_of(tenant, receiver.url), endpoint_of(tenant, receiver.url, DISABLED)
    receiver.answer = lambda request: Reply(410)
    for number in range(3):
        emit(tenant, number)
    deliver(endpoint)
    assert len(receiver.received) == 1
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.disabled_reason) == ("STATUS_INACTIVE", "it answered 410 Gone")
    assert state_of(endpoint) == [("Failed", 1), ("Failed", 0), ("Failed", 0)]
    check_told(mailoutbox, endpoint, "410 Gone")
    receiver.answer = lambda request: Reply()
    deliver(other)
    assert json.loads(receiver.received[1].body)["type"] == DISABLED
    # Later events are not even addressed to it, until somebody puts it right.
    emit(tenant, 4)
    assert len(state_of(endpoint)) == 3
    reply = tenant.client.put(f"/webhooks/endpoints/{endpoint.pk}", {"status": "STATUS_ACTIVE"})
    assert (reply.json["status"], reply.json["disabled_reason"]) == ("STATUS_ACTIVE", "")


def test_w08_failing_for_days_disables(
    tenant: Tenant, receiver: Receiver, admins: None, mailoutbox: list[Any]
) -> None:
    endpoint = endpoint_of(tenant, receiver.url)
    receiver.answer = lambda request: Reply(500)
    emit(tenant)
    deliver(endpoint)
    endpoint.refresh_from_db()
    assert endpoint.status == "STATUS_ACTIVE"
    assert endpoint.failing_since is not None
    patience = timedelta(seconds=django_settings.QUORATE["WEBHOOK_DISABLE_AFTER_S"])
    for age, status in ((patience - timedelta(minutes=1), "ACTIVE"), (patience, "INACTIVE")):
        WebhookEndpoint.objects.update(failing_since=timezone.now() - age)
        Delivery.objects.update(next_attempt_at=timezone.now())
        courier.serve(endpoint.pk)
        endpoint.refresh_from_db()
        assert endpoint.status == f"STATUS_{status}"
    check_told(mailoutbox, endpoint, "nothing could be delivered since")


def test_what_fails_while_the_endpoint_becomes_inactive_is_given_up(
    tenant: Tenant, receiver: Receiver, mailoutbox: list[Any]
) -> None:
    endpoint = endpoint_of(tenant, receiver.url)

    def too_late(request: Any) -> Reply:
        path = f"/webhooks/endpoints/{endpoint.pk}"
        assert tenant.client.put(path, {"status": "STATUS_INACTIVE"}).status == 200
        return Reply(410)

    receiver.answer = too_late
    emit(tenant)
    deliver(endpoint)
    assert state_of(endpoint) == [("Failed", 1)]
    endpoint.refresh_from_db()
    # It was its owner who switched it off: there is nothing to tell.
    assert (endpoint.disabled_reason, mailoutbox) == ("", [])


def test_w08_one_success_ends_the_failure(tenant: Tenant, receiver: Receiver) -> None:
    endpoint = endpoint_of(tenant, receiver.url)
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=30))
    emit(tenant)
    deliver(endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.failing_since) == ("STATUS_ACTIVE", None)


def test_nobody_listens_at_the_address(tenant: Tenant) -> None:
    gone = Receiver()
    gone.close()
    endpoint = endpoint_of(tenant, gone.url)
    emit(tenant)
    deliver(endpoint)
    assert state_of(endpoint) == [("Retrying", 1)]
    assert Attempt.objects.get().failure_reason == "the connection was refused"
