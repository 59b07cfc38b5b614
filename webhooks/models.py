"""What happened, who wants to hear of it, and what became of each delivery.

An event and its deliveries are written in the transaction of the change itself (webhooks.outbox), so they
exist exactly if the change does. Organisations are named by id: the outbox lies below the apps that write it.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from leasing.models import Leased


class OutboxEvent(models.Model):
    """An event to deliver; `sequence` orders them, `event_id` stays the same over every delivery attempt.

    resource_version: of the object that the event is about, rising with each of its changes; null where the
    object has no version of its own, then `sequence` serves (webhooks.representation).
    """

    sequence = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    organisation_id = models.UUIDField(db_index=True)
    type = models.CharField(max_length=80)
    data = models.JSONField()
    resource_version = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    def __str__(self) -> str:
        return f"{self.sequence} {self.type}"


class EndpointStatus(models.TextChoices):
    """The vendor's words; its pending ones do not occur, since nobody has to approve an endpoint."""

    ACTIVE = "STATUS_ACTIVE"
    INACTIVE = "STATUS_INACTIVE"


class WebhookEndpoint(Leased):
    """An address that an organisation's events are delivered to; one worker at a time serves it.

    secret_generation: which of the derived secrets signs (webhooks.signing), the one before it as well until
    previous_secret_until; failing_since: the first failure after which nothing has succeeded;
    disabled_reason: why the service itself made it inactive, "" where a caller did.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation_id = models.UUIDField()
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=500, blank=True)
    subscribed_events = models.JSONField(default=list)
    status = models.CharField(max_length=16, choices=EndpointStatus.choices, default=EndpointStatus.ACTIVE)
    secret_generation = models.PositiveIntegerField(default=1)
    previous_secret_until = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organisation_id", "-created_at", "-id"], name="endpoint_by_organisation")
        ]

    def __str__(self) -> str:
        return str(self.id)


class DeliveryStatus(models.TextChoices):
    """The vendor's words; what was never tried yet is Retrying too."""

    SUCCESS = "Success"
    RETRYING = "Retrying"
    FAILED = "Failed"


class Delivery(models.Model):
    """One event for one endpoint.

    tries: attempts since it was made or last resent; created_at: the event's.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(OutboxEvent, on_delete=models.CASCADE, related_name="deliveries")
    type = models.CharField(max_length=80)
    status = models.CharField(max_length=8, choices=DeliveryStatus.choices, default=DeliveryStatus.RETRYING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="one_delivery_per_endpoint"),
            models.CheckConstraint(
                condition=Q(status="Retrying", next_attempt_at__isnull=False)
                | (~Q(status="Retrying") & Q(next_attempt_at__isnull=True)),
                name="delivery_retrying_has_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["endpoint", "-created_at", "-id"], name="delivery_by_endpoint"),
            models.Index(fields=["endpoint", "status", "-created_at", "-id"], name="delivery_by_status"),
            models.Index(fields=["endpoint", "type", "-created_at", "-id"], name="delivery_by_type"),
            # The few that are due, however many have been delivered.
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
                name="open_delivery_by_due_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"


class Attempt(models.Model):
    """One try to deliver, with what the endpoint answered, cut short and without its secrets (W12)."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    request_headers = models.JSONField()
    success = models.BooleanField()
    response_status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    response_body = models.TextField(blank=True)
    response_time = models.PositiveIntegerField()  # milliseconds
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["delivery", "-created_at", "-id"], name="attempt_by_delivery")
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.response_status_code or self.failure_reason}"


class NodePresence(models.Model):
    """What was last announced of a node: the sweeper compares it with when the node last called."""

    tss_node_id = models.CharField(primary_key=True, max_length=64)
    online = models.BooleanField()
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.tss_node_id} {'online' if self.online else 'offline'}"
