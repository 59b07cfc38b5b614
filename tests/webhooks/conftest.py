"""An organisation with receivers, and deliveries made in the test's own thread."""

import logging
from collections.abc import Iterator

import pytest

from audit import rationing
from tests.api.conftest import ACTOR, VAULT_CREATED, Tenant, make_tenant
from tests.webhooks.receiver import Receiver
from webhooks import courier, outbox, services
from webhooks.models import Delivery, OutboxEvent, WebhookEndpoint


def pytest_itemcollected(item: pytest.Item) -> None:
    # Real commits are undone by emptying every table: the fast lane goes without.
    if "tenant" in getattr(item, "fixturenames", ()):
        item.add_marker("slow")


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    rationing.forget()
    return make_tenant("acme")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    # Everything that is logged is looked at (W12).
    caplog.set_level(logging.DEBUG)


def endpoint_of(tenant: Tenant, url: str, *types: str) -> WebhookEndpoint:
    return services.create_endpoint(
        actor=ACTOR,
        organisation=tenant.organisation,
        url=url,
        subscribed_events=types or (VAULT_CREATED,),
        description="for tests",
    )


def emit(tenant: Tenant, number: int = 0, type: str = VAULT_CREATED) -> OutboxEvent:
    data = {"data_type": "MPCVault", "name": f"vault {number}"}
    return outbox.emit(organisation_id=str(tenant.organisation.pk), type=type, data=data)


def deliver(endpoint: WebhookEndpoint) -> None:
    """Serve the endpoint until nothing is due."""
    while courier.serve(endpoint.pk):
        pass


def state_of(endpoint: WebhookEndpoint) -> list[tuple[str, int]]:
    """Status and tries of every delivery, oldest event first."""
    rows = Delivery.objects.filter(endpoint=endpoint).order_by("event_id")
    return list(rows.values_list("status", "tries"))
