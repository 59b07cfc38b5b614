"""Letters to approvers: which were due, and which went out. Changed by dashboard.letters only."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from tss.models import TssRequest
from vaults.models import Member


class LetterKind(models.TextChoices):
    WAITING = "waiting", "a request waits for your vote"
    REMINDER = "reminder", "a request that waits for your vote ends soon"


class Letter(models.Model):
    """An e-mail to one approver about one request; the constraint decides that there is one of each kind.

    message_id: the same at each try, so that a mail program shows what was sent twice once. leased_until: a
    worker is sending it; attempts also fences: only the worker that made it so may say how it went.
    """

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="letters")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="letters")
    kind = models.CharField(max_length=8, choices=LetterKind.choices)
    message_id = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "member", "kind"], name="one_letter_of_each_kind"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"], condition=Q(sent_at__isnull=True), name="unsent_letter_by_due_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.request_id}"
