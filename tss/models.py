"""TSS requests, approvals, ceremonies with their mailbox, share sets and due jobs.

The constraints carry the rules: one open request per target group, one running ceremony per vault key (R24),
one value per mailbox slot (R22), one decision per holder. Changed by tss.services only.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from vaults.models import Group, Node, Organisation, Vault


class RequestType(models.TextChoices):
    KEY_GEN = "KeyGen"
    KEY_GEN_FROM_KEY_GROUP = "KeyGenFromKeyGroup"
    RECOVERY = "Recovery"


class State(models.TextChoices):
    """Our own, precise state; the compatible status is derived from it (tss.lifecycle)."""

    AWAITING_APPROVAL = "AwaitingApproval"
    APPROVED = "Approved"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    CANCELLED = "Cancelled"
    UNSATISFIABLE = "Unsatisfiable"


OPEN_STATES = (State.AWAITING_APPROVAL, State.APPROVED, State.RUNNING)


class TssRequest(models.Model):
    """A request, its intent and where it stands. `version` rises with every transition (compare-and-swap)."""

    id = models.CharField(primary_key=True, max_length=32)  # yyyymmddHHMMSS and 18 digits
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="tss_requests")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="tss_requests")
    target_group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="tss_requests")
    type = models.CharField(max_length=20, choices=RequestType.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.AWAITING_APPROVAL)
    state_reason = models.CharField(max_length=500, blank=True)
    failed_node_ids = models.JSONField(default=list)
    version = models.PositiveIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=1)
    description = models.CharField(max_length=1000, blank=True)
    requester_member = models.ForeignKey(
        "vaults.Member", null=True, on_delete=models.PROTECT, related_name="+"
    )
    intent = models.TextField()  # canonical JSON
    digest = models.CharField(max_length=64, unique=True)
    manifest = models.TextField()  # canonical JSON, as it was when the request was made
    policy = models.TextField()  # canonical JSON
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["target_group"],
                condition=Q(state__in=("AwaitingApproval", "Approved", "Running")),
                name="one_open_request_per_group",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["target_group", "-created_at", "-id"], name="request_by_group"),
            # The sweeper looks for the few that can still expire, however many have ended.
            models.Index(
                fields=["expires_at"],
                condition=Q(state__in=("AwaitingApproval", "Approved")),
                name="waiting_request_by_expiry",
            ),
        ]

    def __str__(self) -> str:
        return self.id


class RequestEvent(models.Model):
    """One line of a request's timeline, written in the transaction of the transition."""

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="events")
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    state = models.CharField(max_length=20, choices=State.choices)
    actor = models.CharField(max_length=120)
    detail = models.JSONField(default=dict)
    time = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "version"], name="one_event_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.version} {self.kind}"


class Decision(models.TextChoices):
    APPROVE = "approve"
    REJECT = "reject"


class Approval(models.Model):
    """A holder's signed decision; `signed` is the wire form that every node verifies itself."""

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="approvals")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="approvals")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.CharField(max_length=500, blank=True)
    signed = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "node"], name="one_decision_per_holder")
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.node_id}"


class Refusal(models.Model):
    """Why a node would not take part, in its own words; shown to people, binds nobody."""

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="refusals")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=64)
    message = models.CharField(max_length=500)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "node"], name="one_refusal_per_holder")
        ]

    def __str__(self) -> str:
        return f"{self.code} by {self.node_id}"


class CeremonyState(models.TextChoices):
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Ceremony(models.Model):
    """One attempt to run a request's protocol; `round` is the first whose messages are not complete yet."""

    session_id = models.CharField(primary_key=True, max_length=64)
    request = models.ForeignKey(TssRequest, on_delete=models.PROTECT, related_name="ceremonies")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="ceremonies")
    attempt = models.PositiveSmallIntegerField()
    protocol = models.CharField(max_length=32)
    participants = models.PositiveSmallIntegerField()
    rounds = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=CeremonyState.choices, default=CeremonyState.OPEN)
    round = models.PositiveSmallIntegerField(default=0)
    reason = models.CharField(max_length=500, blank=True)
    blamed_node_ids = models.JSONField(default=list)
    started_at = models.DateTimeField(default=timezone.now)
    progress_at = models.DateTimeField(default=timezone.now)
    deadline = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "attempt"], name="one_ceremony_per_attempt"),
            # R24: one running share-changing ceremony per key.
            models.UniqueConstraint(
                fields=["vault"], condition=Q(state="open"), name="one_open_ceremony_per_vault"
            ),
        ]

    def __str__(self) -> str:
        return self.session_id[:16]


class Message(models.Model):
    """One immutable mailbox slot (R22)."""

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="messages")
    type = models.PositiveSmallIntegerField()
    round = models.PositiveSmallIntegerField()
    sender = models.PositiveSmallIntegerField()
    recipient = models.PositiveSmallIntegerField()
    envelope = models.BinaryField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["ceremony", "type", "round", "sender", "recipient"], name="one_value_per_slot"
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.round} from {self.sender}"


class Evidence(models.Model):
    """Two validly signed, different messages of one slot: proof that the sender equivocated (R22)."""

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="evidence")
    sender = models.PositiveSmallIntegerField()
    round = models.PositiveSmallIntegerField()
    first = models.BinaryField()
    second = models.BinaryField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["ceremony", "sender", "round"], name="one_evidence_per_sender_and_round"
            )
        ]

    def __str__(self) -> str:
        return f"round {self.round} from {self.sender}"


class ShareSet(models.Model):
    """The certified shares of one group at one epoch; `certificate` is the encoded certificate (R25)."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="share_sets")
    ceremony = models.OneToOneField(Ceremony, on_delete=models.PROTECT, related_name="share_set")
    epoch = models.PositiveIntegerField()
    certificate = models.BinaryField()
    certificate_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "epoch"], name="one_share_set_per_epoch")
        ]

    def __str__(self) -> str:
        return self.certificate_hash[:16]


class JobKind(models.TextChoices):
    START_CEREMONY = "start_ceremony"
    DRIVE_CEREMONY = "drive_ceremony"


class Job(models.Model):
    """Work that is due. Claimed by compare-and-swap on `fence`, held by a lease that a heartbeat renews.

    A row lives until its work is done; Redis only rings for it, so a lost message costs time only.
    """

    kind = models.CharField(max_length=20, choices=JobKind.choices)
    reference = models.CharField(max_length=64)
    due_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "reference"],
                condition=Q(done_at__isnull=True),
                name="one_open_job_per_reference",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(done_at__isnull=True), name="open_job_by_due_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
