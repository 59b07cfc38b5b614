"""Figures of the deliveries for Prometheus."""

from collections.abc import Iterator

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from webhooks.models import Delivery, WebhookEndpoint


def collect() -> Iterator[Metric]:
    """Deliveries that are still to be made, for how long the oldest has been due, endpoints by status."""
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
