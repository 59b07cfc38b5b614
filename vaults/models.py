"""Who is who: organisations, people, API keys, signer nodes, vaults and key share holder groups.

Changed by vaults.services only. Enum values are the compatible API's own words where it has them.
"""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Organisation(models.Model):
    """A tenant; nothing of one organisation is visible to another."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    # Whether the service's own signer may hold shares of this organisation's keys.
    service_signer_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    ADMIN = "admin", "Administrator"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"


class Member(models.Model):
    """A person in an organisation."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "user"], name="member_once_per_organisation"),
        ]

    def __str__(self) -> str:
        return self.name


class KeyCurve(models.TextChoices):
    ED25519 = "ED25519"
    SECP256K1 = "SECP256K1"


class ApiKey(models.Model):
    """A public key that may sign API requests; it belongs to a member, or to a robot when member is null."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="api_keys")
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="api_keys"
    )
    name = models.CharField(max_length=30)
    curve = models.CharField(max_length=9, choices=KeyCurve.choices)
    public_key = models.CharField(
        max_length=66, unique=True
    )  # lower-case hex: 64 digits Ed25519, 66 SECP256K1
    scopes = models.JSONField(default=list)
    valid_ips = models.JSONField(default=list)  # addresses and CIDR ranges; empty: any
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class SignedRequest(models.Model):
    """A signed API request that was executed, with the answer that it got; a repeat gets the same answer.

    once_key: hash of the signature, or of the Idempotency-Key where the caller gave one; fingerprint: of what
    was asked under an Idempotency-Key, so that the key cannot stand for something else.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    once_key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    keep_until = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "once_key"], name="signed_request_once"),
        ]

    def __str__(self) -> str:
        return self.once_key


class NodeKind(models.TextChoices):
    API = "API", "Holder's own node"
    SERVICE = "Cobo", "Hosted by the service"


class Node(models.Model):
    """A signer node: its public identity as the holder card states it (R4, R7)."""

    tss_node_id = models.CharField(primary_key=True, max_length=64)
    # Null for the service signer, which every organisation that enables it may name.
    organisation = models.ForeignKey(
        Organisation, null=True, blank=True, on_delete=models.PROTECT, related_name="nodes"
    )
    owner = models.ForeignKey(Member, null=True, blank=True, on_delete=models.PROTECT, related_name="nodes")
    kind = models.CharField(max_length=8, choices=NodeKind.choices)
    name = models.CharField(max_length=100)
    signing_key = models.CharField(max_length=64, unique=True)
    holder_card = models.JSONField()
    # The card's own version (R7); a new card takes the place of the one before by compare-and-swap on it.
    card_version = models.PositiveBigIntegerField(default=1)
    software = models.CharField(max_length=32, blank=True)
    enrolled_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class EnrolmentCode(models.Model):
    """A one-time code with which a node joins; only its hash is kept."""

    organisation = models.ForeignKey(
        Organisation, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    owner = models.ForeignKey(Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=NodeKind.choices)
    name = models.CharField(max_length=100)
    code_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """A project of user-controlled wallets; stored and listed for the compatible API."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=100)
    participants = models.PositiveSmallIntegerField()
    threshold = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(threshold__gte=2, threshold__lte=F("participants")), name="project_threshold"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="project_by_organisation")
        ]

    def __str__(self) -> str:
        return self.name


class VaultType(models.TextChoices):
    ORG_CONTROLLED = "Org-Controlled"
    USER_CONTROLLED = "User-Controlled"


class Vault(models.Model):
    """One root key per curve, and the groups that hold shares of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="vaults")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.PROTECT, related_name="vaults"
    )
    name = models.CharField(max_length=30)
    type = models.CharField(max_length=16, choices=VaultType.choices)
    policy = models.TextField()  # canonical JSON of wire.policy.VaultPolicy
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "name"], name="vault_name_once_per_organisation"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "type", "-created_at", "-id"], name="vault_by_organisation"),
            models.Index(fields=["project", "-created_at", "-id"], name="vault_by_project"),
        ]

    def __str__(self) -> str:
        return self.name


class Curve(models.TextChoices):
    SECP256K1 = "SECP256K1"
    ED25519 = "ED25519"


class RootKey(models.Model):
    """A vault's root extended public key for one curve; a claim only, nodes print their own (R3)."""

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="root_keys")
    curve = models.CharField(max_length=9, choices=Curve.choices)
    root_extended_public_key = models.CharField(max_length=120)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["vault", "curve"], name="one_root_key_per_curve")
        ]

    def __str__(self) -> str:
        return self.root_extended_public_key


class GroupType(models.TextChoices):
    MAIN = "MainGroup"
    SIGNING = "SigningGroup"
    RECOVERY = "RecoveryGroup"


class GroupStatus(models.TextChoices):
    NEW = "New"
    VALID = "Valid"
    UNAVAILABLE = "Unavailable"


class Group(models.Model):
    """A key share holder group: t of n holders, and the manifest that they pin (R7)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="groups")
    type = models.CharField(max_length=16, choices=GroupType.choices)
    status = models.CharField(max_length=12, choices=GroupStatus.choices, default=GroupStatus.NEW)
    participants = models.PositiveSmallIntegerField()
    threshold = models.PositiveSmallIntegerField()
    epoch = models.PositiveIntegerField(default=1)
    manifest = models.TextField()  # canonical JSON of wire.manifest.Manifest
    manifest_hash = models.CharField(max_length=64)
    # Set when the group was deleted or another took its place: a label only (R16), lists leave it out.
    retired_at = models.DateTimeField(null=True, blank=True)
    # A Refresh is asked for each time that this much time has passed since the last; null: never by itself.
    refresh_every = models.DurationField(null=True, blank=True)
    next_refresh_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            # t = 1 would be no threshold key at all (docs/api.md).
            models.CheckConstraint(
                condition=Q(threshold__gte=2, threshold__lte=F("participants")), name="group_threshold"
            ),
            models.UniqueConstraint(
                fields=["vault"],
                condition=Q(type="MainGroup", status="Valid", retired_at__isnull=True),
                name="one_active_main_group",
            ),
            models.CheckConstraint(
                condition=Q(refresh_every__isnull=True, next_refresh_at__isnull=True)
                | Q(refresh_every__isnull=False, next_refresh_at__isnull=False),
                name="group_refresh_schedule",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["vault", "-created_at", "-id"], name="group_by_vault"),
            models.Index(fields=["vault", "type", "-created_at", "-id"], name="group_by_vault_and_type"),
            models.Index(
                fields=["next_refresh_at"],
                condition=Q(next_refresh_at__isnull=False),
                name="group_by_next_refresh",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.threshold} of {self.participants}"


class HolderStatus(models.TextChoices):
    VALID = "Valid"
    CHANGED = "Changed"


class Holder(models.Model):
    """A member of a group: one node at one index."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="holders")
    index = models.PositiveSmallIntegerField()  # 1..n, from the manifest
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="holders")
    name = models.CharField(max_length=100)
    signer = models.BooleanField(default=False)
    status = models.CharField(max_length=8, choices=HolderStatus.choices, default=HolderStatus.VALID)
    # The node that a Recovery or change of members shall give this holder's place to (status Changed).
    replacement = models.ForeignKey(
        Node, null=True, blank=True, on_delete=models.PROTECT, related_name="replaces"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "index"], name="holder_index_once"),
            models.UniqueConstraint(fields=["group", "node"], name="holder_node_once"),
            models.CheckConstraint(condition=Q(index__gte=1), name="holder_index_from_one"),
            models.CheckConstraint(
                condition=Q(status="Changed", replacement__isnull=False)
                | Q(status="Valid", replacement__isnull=True),
                name="holder_changed_has_replacement",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class KeyShareGroup(models.Model):
    """The compatible API's name for a group's shares on one curve."""

    id = models.CharField(primary_key=True, max_length=20)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="key_share_groups")
    curve = models.CharField(max_length=9, choices=Curve.choices)
    root_extended_public_key = models.CharField(max_length=120)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "curve"], name="one_share_group_per_curve")
        ]

    def __str__(self) -> str:
        return self.id


class RowCount(models.Model):
    """How many rows a list holds, kept in the transaction of each write: a total never counts a table."""

    scope = models.CharField(primary_key=True, max_length=120)
    count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.scope
