"""The audit log: one hash chain over every security-relevant act of the coordinator, and its checkpoints."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class AuditRow(models.Model):
    """An act; `hash` covers the row and `previous_hash`, so an edit, insertion or deletion breaks the chain.

    Written by audit.services.record only, in the transaction of the act: if the row fails, the act fails.
    """

    sequence = models.PositiveBigIntegerField(primary_key=True)
    time = models.BigIntegerField()  # Unix milliseconds
    organisation_id = models.CharField(max_length=36, blank=True, db_index=True)
    actor = models.CharField(max_length=120)
    act = models.CharField(max_length=64)
    subject = models.CharField(max_length=120)
    detail = models.TextField()  # canonical JSON, no secrets
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return f"{self.sequence} {self.act}"


class AuditCheckpoint(models.Model):
    """The coordinator's signature over the log up to row `sequence`, in its wire form (wire.checkpoint)."""

    sequence = models.PositiveBigIntegerField(primary_key=True)
    signed = models.JSONField()
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.sequence)


class CheckpointWitness(models.Model):
    """A node's signed word about the checkpoint of row `sequence`: a countersignature, or an alarm."""

    sequence = models.PositiveBigIntegerField()
    node_id = models.CharField(max_length=64)
    verdict = models.CharField(max_length=16)
    signed = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["node_id", "sequence", "verdict"], name="one_word_per_checkpoint")
        ]
        indexes: ClassVar = [models.Index(fields=["sequence"], name="witness_by_sequence")]

    def __str__(self) -> str:
        return f"{self.verdict} of {self.sequence} by {self.node_id}"
