"""Figures of the nodes for Prometheus."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from vaults.models import Node


def collect() -> Iterator[Metric]:
    """How many nodes there are, and how many called lately."""
    online = timezone.now() - timedelta(seconds=settings.QUORATE["NODE_ONLINE_S"])
    nodes = GaugeMetricFamily(
        "quorate_nodes", "Enrolled nodes by kind and presence.", labels=["kind", "online"]
    )
    counts = (
        Node.objects.order_by()
        .values("kind")
        .annotate(all=Count("pk"), online=Count("pk", filter=Q(last_seen_at__gte=online)))
    )
    for row in counts:
        nodes.add_metric([row["kind"], "yes"], row["online"])
        nodes.add_metric([row["kind"], "no"], row["all"] - row["online"])
    yield nodes
