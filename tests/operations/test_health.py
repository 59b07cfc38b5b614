"""What load balancers and Prometheus ask the site: /livez, /readyz, /metrics."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, RequestFactory
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from audit import services as audit
from audit.models import AuditRow
from config import site_views
from tests.services import provide_redis
from tests.tss.nodes import Site
from tss.models import Job, JobKind
from vaults.models import Node
from webhooks.models import Delivery, OutboxEvent, WebhookEndpoint

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

TOKEN = "a token of more than thirty-two characters"


def ready() -> tuple[int, dict[str, Any]]:
    answer = Client().get("/readyz")
    assert "no-store" in answer["Cache-Control"]
    return answer.status_code, answer.json()


def test_a_site_in_order_is_ready() -> None:
    status, body = ready()
    assert status == 200
    assert body["ready"] is True
    assert set(body["checks"].values()) == {"ok"}
    assert {"database", "migrations", "audit", "jobs"} <= set(body["checks"])
    assert body["oldest_due_job_s"] is None
    assert not AuditRow.objects.exists()


def test_a_missing_migration_is_seen() -> None:
    MigrationRecorder.Migration.objects.filter(app="audit", name="0002_checkpoints").delete()
    status, body = ready()
    assert (status, body["checks"]["migrations"]) == (503, "failed")


def test_redis_that_is_gone_is_seen(settings: Settings) -> None:
    with provide_redis() as server:
        settings.QUORATE = settings.QUORATE | {"WAKEUPS": "redis", "REDIS_URL": server.url}
        assert ready()[1]["checks"]["redis"] == "ok"
    status, body = ready()
    assert (status, body["checks"]["redis"]) == (503, "failed")
    assert "127.0.0.1" not in str(body)


def test_a_late_job_is_told_and_no_reason_to_take_the_site_away() -> None:
    due = timezone.now() - timedelta(seconds=90)
    Job.objects.create(kind=JobKind.START_CEREMONY, reference="x", due_at=due)
    status, body = ready()
    assert (status, body["checks"]["jobs"]) == (200, "late")
    assert body["oldest_due_job_s"] >= 90


def test_asking_often_costs_once(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.QUORATE = settings.QUORATE | {"READINESS_S": 3600}
    ready()
    with django_assert_num_queries(0):
        assert ready()[0] == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_only_reading_is_allowed(path: str) -> None:
    assert Client().post(path).status_code == 405


def figures() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def figure(name: str, **labels: str) -> float:
    return figures()[name, frozenset(labels.items())]


def test_metrics_tell_what_the_rows_tell(site: Site) -> None:
    site.succeeded()
    audit.checkpoint()
    audit.record(actor="user:1", act="thing.done", subject="thing:1", detail={})
    rows = audit.head()[0]
    assert figure("quorate_audit_rows") == rows
    assert figure("quorate_audit_checkpoint_rows") == rows - 1
    assert figure("quorate_requests_day", state="Succeeded") == 1
    assert figure("quorate_requests_open", state="Running") == 0
    assert figure("quorate_decisions_day", decision="approve") == 3
    assert figure("quorate_jobs_open") == 0
    for phase in ("approval", "queue", "round_0", "round_3", "certificate"):
        assert figure("quorate_phase_seconds_count", phase=phase) == 1
        assert figure("quorate_phase_seconds_bucket", phase=phase, le="+Inf") == 1
    assert figure("quorate_nodes", kind="API", online="no") == 3
    Node.objects.filter(pk=site.signers[0].node_id).update(last_seen_at=timezone.now())
    assert figure("quorate_nodes", kind="API", online="yes") == 1


def test_metrics_tell_which_deliveries_are_late() -> None:
    organisation = uuid.uuid4()
    event = OutboxEvent.objects.create(organisation_id=organisation, type="t", data={})
    endpoint = WebhookEndpoint.objects.create(organisation_id=organisation, url="https://example.com")
    assert figure("quorate_deliveries_open") == 0
    due = timezone.now() - timedelta(seconds=90)
    Delivery.objects.create(endpoint=endpoint, event=event, type="t", next_attempt_at=due)
    assert figure("quorate_deliveries_open") == 1
    assert figure("quorate_delivery_oldest_due_seconds") >= 90
    assert figure("quorate_webhook_endpoints", status="STATUS_ACTIVE") == 1


def test_metrics_are_read_in_a_bounded_number_of_queries(
    site: Site, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    site.succeeded()
    with django_assert_max_num_queries(20):
        figures()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7"}, 403),
        ({"REMOTE_ADDR": ""}, 403),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, 403),
        ({"HTTP_FORWARDED": "for=10.0.0.7"}, 403),
    ],
)
def test_metrics_without_a_token_are_for_this_machine(headers: dict[str, str], status: int) -> None:
    request = RequestFactory().get("/metrics", **headers)  # type: ignore[arg-type]
    assert site_views.metrics(request).status_code == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(f"Bearer {TOKEN}", 200), ("", 403), (TOKEN, 403), (f"Bearer {TOKEN}x", 403), ("Bearer é", 403)],
)
def test_metrics_with_a_token_are_for_its_bearer(settings: Settings, authorization: str, status: int) -> None:
    settings.QUORATE = settings.QUORATE | {"METRICS_TOKEN": TOKEN}
    answer = Client().get("/metrics", REMOTE_ADDR="10.0.0.7", HTTP_AUTHORIZATION=authorization)
    assert answer.status_code == status
