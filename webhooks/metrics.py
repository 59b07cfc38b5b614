"""Figures of the deliveries for Prometheus."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from webhooks.models import Attempt, Delivery, WebhookEndpoint

# The newest ones of the hour: a busy site must not pay for its figures.
_MAX_ATTEMPTS = 10_000
_HOUR = timedelta(hours=1)


def collect() -> Iterator[Metric]:
    """Deliveries that are still to be made, for how long the oldest has been due, endpoints by status,
    attempts of the last hour by result."""
    # Of the few that have a next time, however many have been delivered.
    waiting = Delivery.objects.filter(next_attempt_at__isnull=False)
    found = waiting.aggregate(count=Count("pk"), oldest=Min("next_attempt_at"))
    yield GaugeMetricFamily("quorate_deliveries_open", "Deliveries still to be made.", found["count"])
    late = (timezone.now() - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    yield GaugeMetricFamily(
        "quorate_delivery_oldest_due_seconds",
        "How long a delivery has been due, the oldest one.",
        max(0.0, late),
    )
    endpoints = GaugeMetricFamily("quorate_webhook_endpoints", "Endpoints by status.", labels=["status"])
    for status, count in WebhookEndpoint.objects.order_by().values_list("status").annotate(Count("pk")):
        endpoints.add_metric([status], count)
    yield endpoints
    yield _attempts()


def _attempts() -> Metric:
    newest = Attempt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    recent = Attempt.objects.filter(pk__gt=newest - _MAX_ATTEMPTS, created_at__gte=timezone.now() - _HOUR)
    numbers = dict(recent.order_by().values_list("success").annotate(Count("pk")))
    gauge = GaugeMetricFamily(
        "quorate_delivery_attempts_hour",
        f"Attempts to deliver in the last hour, of the newest {_MAX_ATTEMPTS}.",
        labels=["result"],
    )
    for result, success in (("success", True), ("failure", False)):
        gauge.add_metric([result], numbers.get(success, 0))
    return gauge
