"""TSS requests, approvals, ceremonies with their mailbox, share sets and due jobs.

The constraints carry the rules: one open request per target group, one running ceremony per vault key (R24),
one value per mailbox slot (R22), one decision per holder. Changed by tss.services only.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from leasing.models import Leased
from vaults.models import Group, Node, Organisation, Vault


class RequestType(models.TextChoices):
    """The first three are the compatible API's; its calls and events show no others."""

    KEY_GEN = "KeyGen"
    KEY_GEN_FROM_KEY_GROUP = "KeyGenFromKeyGroup"
    RECOVERY = "Recovery"
    REFRESH = "Refresh"
    RESHARE = "Reshare"
    ROLE_CHANGE = "RoleChange"
    POLICY_CHANGE = "PolicyChange"


COMPATIBLE_TYPES = (RequestType.KEY_GEN, RequestType.KEY_GEN_FROM_KEY_GROUP, RequestType.RECOVERY)


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
    source_group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="sourced_requests"
    )
    # Whether the caller named the source holders (R21); then lists show them as it gave them.
    source_node_ids = models.JSONField(default=list)
    type = models.CharField(max_length=20, choices=RequestType.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.AWAITING_APPROVAL)
    state_reason = models.CharField(max_length=500, blank=True)
    failed_node_ids = models.JSONField(default=list)
    # Of a Failed request: whether another attempt can help.
    retryable = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=1)
    # How many different holders must approve at least, and how many the protocol alone would need.
    approvals_needed = models.PositiveSmallIntegerField()
    protocol_minimum = models.PositiveSmallIntegerField()
    description = models.CharField(max_length=1000, blank=True)
    requester_member = models.ForeignKey(
        "vaults.Member", null=True, on_delete=models.PROTECT, related_name="+"
    )
    intent = models.TextField()  # canonical JSON
    digest = models.CharField(max_length=64, unique=True)
    # Canonical JSON: the roster that the target group would have, the source's, the policy that governs, and
    # the one that a PolicyChange would put in its place; "" where there is none.
    manifest = models.TextField()
    source_manifest = models.TextField(blank=True)
    policy = models.TextField()
    new_policy = models.TextField(blank=True)
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
            # R12: never zero, and never fewer than the protocol needs.
            models.CheckConstraint(
                condition=Q(protocol_minimum__gte=2, approvals_needed__gte=models.F("protocol_minimum")),
                name="request_needs_approvals",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["target_group", "-created_at", "-id"], name="request_by_group"),
            models.Index(fields=["vault", "-created_at", "-id"], name="request_by_vault"),
            models.Index(fields=["organisation", "-created_at", "-id"], name="request_by_organisation"),
            models.Index(fields=["organisation", "state", "-created_at", "-id"], name="request_by_state"),
            models.Index(fields=["organisation", "type", "-created_at", "-id"], name="request_by_type"),
            # The four states that the vendor shows as one status.
            models.Index(
                fields=["organisation", "-created_at", "-id"],
                condition=Q(state__in=("Rejected", "Expired", "Cancelled", "Unsatisfiable")),
                name="ended_request_by_organisation",
            ),
            models.Index(fields=["organisation", "-updated_at", "-id"], name="request_by_update"),
            models.Index(fields=["organisation", "-expires_at", "-id"], name="request_by_expiry"),
            models.Index(
                fields=["organisation", "state", "-updated_at", "-id"], name="request_by_state_update"
            ),
            models.Index(
                fields=["organisation", "state", "-expires_at", "-id"], name="request_by_state_expiry"
            ),
            models.Index(fields=["vault", "-updated_at", "-id"], name="request_by_vault_update"),
            models.Index(fields=["vault", "state", "-created_at", "-id"], name="request_by_vault_state"),
            # A node is shown the oldest first, of the few that are open.
            models.Index(
                fields=["created_at"],
                condition=Q(state="AwaitingApproval"),
                name="awaiting_request_by_age",
            ),
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


class Voter(models.Model):
    """A holder that a request is shown to: it votes as a source holder, a target holder, or both; or, with
    neither, it is only told (R17)."""

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="voters")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="votes")
    name = models.CharField(max_length=100)
    source = models.BooleanField(default=False)
    target = models.BooleanField(default=False)
    # R14: the requester's own vote does not count among source holders.
    counts_as_source = models.BooleanField(default=False)
    # Of a target holder: what the new roster will say of it.
    signer = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "node"], name="one_voter_per_holder")
        ]

    def __str__(self) -> str:
        return self.name


class Decision(models.TextChoices):
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class SignedBy(models.TextChoices):
    """A holder's vote has its node's signature, and a passkey's where its card asks for one (R7)."""

    NODE = "node"
    PASSKEY = "passkey"


class Approval(models.Model):
    """A holder's signed decision; `signed` is the wire form that every node verifies itself.

    A withdrawal takes the place of the holder's approval.
    """

    request = models.ForeignKey(TssRequest, on_delete=models.CASCADE, related_name="approvals")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="approvals")
    kind = models.CharField(max_length=7, choices=SignedBy.choices, default=SignedBy.NODE)
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.CharField(max_length=500, blank=True)
    signed = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "node", "kind"], name="one_decision_per_holder")
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
    """STALLED: it has failed after all had prepared their shares, so some may have activated theirs; no other
    attempt takes its place, and what is missing is welcome at any time (R26)."""

    OPEN = "open"
    STALLED = "stalled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Ceremony(models.Model):
    """One attempt to run a request's protocol; `round` is the first whose messages are not complete yet."""

    session_id = models.CharField(primary_key=True, max_length=64)
    request = models.ForeignKey(TssRequest, on_delete=models.PROTECT, related_name="ceremonies")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="ceremonies")
    attempt = models.PositiveSmallIntegerField()
    protocol = models.CharField(max_length=32)
    # Node ids of the source holders that deal in this attempt (R21); empty for KeyGen, where everybody does.
    dealers = models.JSONField(default=list)
    participants = models.PositiveSmallIntegerField()
    rounds = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=CeremonyState.choices, default=CeremonyState.OPEN)
    round = models.PositiveSmallIntegerField(default=0)
    reason = models.CharField(max_length=500, blank=True)
    blamed_node_ids = models.JSONField(default=list)
    # Whether what the blamed nodes signed proves it; else they were silent, or blamed by others' words.
    proven = models.BooleanField(default=False)
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


class Participant(models.Model):
    """A node in a ceremony; `index` is its place among the participants of the session (wire.session)."""

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="members")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="ceremonies")
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ceremony", "index"], name="participant_index_once"),
            models.UniqueConstraint(fields=["ceremony", "node"], name="participant_node_once"),
        ]

    def __str__(self) -> str:
        return self.name


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


class EvidenceKind(models.TextChoices):
    EQUIVOCATION = "equivocation", "one sender signed two messages for one slot"
    SPLIT_VIEW = "split_view", "two participants signed messages of different sessions or transcripts"


class Evidence(models.Model):
    """Two validly signed envelopes that cannot both be honest (R22).

    reporter: the node that handed them in; null: the mailbox itself saw them.
    """

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="evidence")
    kind = models.CharField(max_length=12, choices=EvidenceKind.choices)
    sender = models.PositiveSmallIntegerField()
    round = models.PositiveSmallIntegerField()
    first = models.BinaryField()
    second = models.BinaryField()
    reporter = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["ceremony", "kind", "sender", "round"], name="one_evidence_per_sender_and_round"
            )
        ]

    def __str__(self) -> str:
        return f"round {self.round} from {self.sender}"


class ShareSet(models.Model):
    """The certified shares of one group at one epoch; `certificate` is the encoded certificate (R25).

    manifest: the roster of the set, canonical JSON; previous_hash: hash of the certificate of the set that
    dealt this one, "" for KeyGen; active: it is the set that its group uses now;
    superseded_at: when a later set took its place, or its group was retired.
    """

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="share_sets")
    ceremony = models.OneToOneField(Ceremony, on_delete=models.PROTECT, related_name="share_set")
    epoch = models.PositiveIntegerField()
    manifest = models.TextField()
    certificate = models.BinaryField()
    certificate_hash = models.CharField(max_length=64, unique=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    active = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "epoch"], name="one_share_set_per_epoch"),
            models.UniqueConstraint(fields=["group"], condition=Q(active=True), name="one_active_share_set"),
        ]

    def __str__(self) -> str:
        return self.certificate_hash[:16]


class SetStatement(models.Model):
    """A holder's signed word about its share of a set: erased or abandoned (R26, R28)."""

    ceremony = models.ForeignKey(Ceremony, on_delete=models.CASCADE, related_name="statements")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=9)
    signed = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ceremony", "node", "state"], name="one_set_statement_per_state")
        ]

    def __str__(self) -> str:
        return f"{self.state} by {self.node_id}"


class LaterSet(models.Model):
    """A holder's word that its group has a later share set than this database: it was restored from an old
    dump. Nothing that changes shares of the vault starts until the set is here (tss.reconcile)."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="later_sets")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+")
    epoch = models.PositiveBigIntegerField()
    noticed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "node"], name="one_later_set_per_holder")
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch} by {self.node_id}"


class JobKind(models.TextChoices):
    START_CEREMONY = "start_ceremony"
    DRIVE_CEREMONY = "drive_ceremony"


class Job(Leased):
    """Work that is due.

    A row lives until its work is done; Redis only rings for it, so a lost message costs time only.
    """

    kind = models.CharField(max_length=20, choices=JobKind.choices)
    reference = models.CharField(max_length=64)
    due_at = models.DateTimeField(default=timezone.now)
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
