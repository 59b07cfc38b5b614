"""The outbox: what happened, for consumers outside. Written in the transaction of the change itself."""

import uuid

from django.db import models
from django.utils import timezone


class OutboxEvent(models.Model):
    """An event to deliver; `sequence` orders them, `event_id` stays the same over every delivery attempt."""

    sequence = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    organisation_id = models.UUIDField(db_index=True)
    type = models.CharField(max_length=80)
    data = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.sequence} {self.type}"
