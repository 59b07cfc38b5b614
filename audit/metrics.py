"""Figures of the audit log for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from audit.models import AuditCheckpoint, CheckpointWitness
from audit.selectors import head
from wire.checkpoint import SEEN


def collect() -> Iterator[Metric]:
    """Length of the chain, its newest checkpoint and countersignature, alarms of nodes."""
    newest = AuditCheckpoint.objects.order_by("-sequence").first()
    words = CheckpointWitness.objects.all()
    seen = words.filter(verdict=SEEN).order_by("-sequence").values_list("sequence", flat=True).first()
    yield GaugeMetricFamily("quorate_audit_rows", "Rows of the audit log.", head()[0])
    yield GaugeMetricFamily(
        "quorate_audit_checkpoint_rows", "Rows up to the newest checkpoint.", newest.sequence if newest else 0
    )
    if newest is not None:
        yield GaugeMetricFamily(
            "quorate_audit_checkpoint_timestamp_seconds",
            "When the newest checkpoint was signed.",
            newest.made_at.timestamp(),
        )
    yield GaugeMetricFamily(
        "quorate_audit_countersigned_rows", "Rows up to the newest checkpoint that a node signed.", seen or 0
    )
    alarms = words.exclude(verdict=SEEN).count()
    yield GaugeMetricFamily("quorate_audit_alarms", "Nodes' alarms about the log.", alarms)
