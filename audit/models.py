"""The audit log: one hash chain over every security-relevant act of the coordinator."""

from django.db import models


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
