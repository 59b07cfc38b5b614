"""Deletes what only had to be kept for a while, in small transactions."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from tss.models import CeremonyState, Job, Message
from vaults.models import SignedRequest
from webhooks.models import OutboxEvent

_BATCH = 500


def prune() -> dict[str, int]:
    """How many rows went: stored API answers, mailbox messages of ended ceremonies, finished jobs, events."""
    now = timezone.now()
    retention = timedelta(seconds=settings.QUORATE["MAILBOX_RETENTION_S"])
    events_kept = timedelta(seconds=settings.QUORATE["WEBHOOK_RETENTION_S"])
    return {
        "signed_requests": _delete(SignedRequest.objects.filter(keep_until__lt=now)),
        # What a stalled ceremony has heard is needed until it is completed or given up (R26).
        "messages": _delete(
            Message.objects.filter(ceremony__finished_at__lt=now - retention).exclude(
                ceremony__state=CeremonyState.STALLED
            )
        ),
        # Their deliveries and the log of these go with them.
        "events": _delete(
            OutboxEvent.objects.filter(created_at__lt=now - events_kept, sequence__lt=_newest_sequence())
        ),
        "jobs": _delete(Job.objects.filter(done_at__lt=now - retention)),
    }


def _newest_sequence() -> int:
    """The newest event stays, however old: whoever remembers its number is told from one of another site."""
    newest: int | None = OutboxEvent.objects.aggregate(newest=Max("sequence"))["newest"]
    return newest or 0


def _delete(rows: "QuerySet[Any]") -> int:
    gone = 0
    while ids := list(rows.values_list("pk", flat=True)[:_BATCH]):
        gone += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return gone
