"""What Prometheus is told of the attempts to deliver."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.api.conftest import Tenant
from tests.webhooks.conftest import deliver, emit, endpoint_of
from tests.webhooks.receiver import Receiver, Reply
from webhooks import metrics
from webhooks.models import Attempt

pytestmark = pytest.mark.embedded


def attempts() -> dict[str, float]:
    """Result to number."""
    samples = [sample for family in metrics.collect() for sample in family.samples]
    return {each.labels["result"]: each.value for each in samples if "result" in each.labels}


def test_attempts_of_the_last_hour_up_to_a_bound(
    tenant: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempts() == {"success": 0, "failure": 0}
    endpoint = endpoint_of(tenant, receiver.url)
    for number in range(3):
        emit(tenant, number)
    deliver(endpoint)
    receiver.answer = lambda request: Reply(500)
    emit(tenant)
    deliver(endpoint)
    assert attempts() == {"success": 3, "failure": 1}
    oldest = Attempt.objects.order_by("pk")[0]
    Attempt.objects.filter(pk=oldest.pk).update(created_at=timezone.now() - timedelta(minutes=61))
    assert attempts() == {"success": 2, "failure": 1}
    monkeypatch.setattr(metrics, "_MAX_ATTEMPTS", 2)
    assert attempts() == {"success": 1, "failure": 1}
