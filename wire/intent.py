"""The intent: the canonical JSON of all that a request would do.

Its digest is what people and nodes approve (R8).
"""

from dataclasses import dataclass
from hashlib import sha256

from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields, WireError
from wire.manifest import MAX_PARTICIPANTS, ROLES

KEY_GEN, KEY_GEN_FROM_KEY_GROUP, RECOVERY = "KeyGen", "KeyGenFromKeyGroup", "Recovery"
REFRESH, RESHARE = "Refresh", "Reshare"
ROLE_CHANGE, POLICY_CHANGE = "RoleChange", "PolicyChange"
# The first five run a ceremony; the last two change what the nodes know about a vault (docs/protocol.md).
CEREMONY_TYPES = (KEY_GEN, KEY_GEN_FROM_KEY_GROUP, RECOVERY, REFRESH, RESHARE)
TYPES = (*CEREMONY_TYPES, ROLE_CHANGE, POLICY_CHANGE)
CURVES = ("secp256k1", "ed25519")
REQUESTER_KINDS = ("member", "robot")
# What becomes of the old Main group when another is promoted (R16).
RETIRED, CONVERTED = "retired", "signing"
MAX_LIFETIME_MS = 7 * 24 * 3600 * 1000  # R15: expiry minus not-before
_MAX_RETIRED = 16
_DIGEST_TAG = b"quorate/intent/v1"


@dataclass(frozen=True)
class Requester:
    """Who asked: a member or a robot of the organisation, and the public API key (hex) that signed."""

    kind: str
    id: str
    api_key: str

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "id": self.id, "api_key": self.api_key}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Requester":
        requester = cls(
            kind=fields.text("kind", choices=REQUESTER_KINDS),
            id=fields.text("id", max_length=64),
            api_key=fields.text("api_key", max_length=66, empty=True),
        )
        fields.end()
        return requester


@dataclass(frozen=True)
class GroupReference:
    """A group, its roster and a share set of it.

    manifest_hash: 32 bytes. certificate_hash: for a source, of the set that deals, 32 bytes; for a target, of
    the set that the group holds before, empty when it holds none. epoch: for a source, of that set; for a
    target, of the set that would be made (RoleChange and PolicyChange make none: of the one that it holds).
    """

    group_id: str
    role: str
    manifest_hash: bytes
    threshold: int
    participants: int
    epoch: int
    certificate_hash: bytes = b""

    def to_json(self) -> dict[str, Json]:
        return {
            "group_id": self.group_id,
            "role": self.role,
            "manifest_hash": self.manifest_hash.hex(),
            "threshold": self.threshold,
            "participants": self.participants,
            "epoch": self.epoch,
            "certificate_hash": self.certificate_hash.hex(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "GroupReference":
        participants = fields.integer("participants", low=1, high=MAX_PARTICIPANTS)
        reference = cls(
            group_id=fields.identifier("group_id"),
            role=fields.text("role", choices=ROLES),
            manifest_hash=fields.hex("manifest_hash", 32),
            threshold=fields.integer("threshold", low=1, high=participants),
            participants=participants,
            epoch=fields.integer("epoch", low=1),
            certificate_hash=fields.optional_hex("certificate_hash", 32),
        )
        fields.end()
        return reference


@dataclass(frozen=True)
class ExpectedKey:
    """A root key that must not change. root_key: encoded point; chain_code: 32 bytes."""

    curve: str
    root_key: bytes
    chain_code: bytes

    def to_json(self) -> dict[str, Json]:
        return {"curve": self.curve, "root_key": self.root_key.hex(), "chain_code": self.chain_code.hex()}

    @classmethod
    def from_fields(cls, fields: Fields) -> "ExpectedKey":
        curve = fields.text("curve", choices=CURVES)
        key = cls(
            curve=curve,
            root_key=fields.hex("root_key", 33 if curve == "secp256k1" else 32),
            chain_code=fields.hex("chain_code", 32),
        )
        fields.end()
        return key


@dataclass(frozen=True)
class Replacement:
    """A node of the target group that another one takes the place of; its old id is revoked (R6)."""

    old: str
    new: str

    def to_json(self) -> dict[str, Json]:
        return {"old": self.old, "new": self.new}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Replacement":
        replacement = cls(old=fields.identifier("old"), new=fields.identifier("new"))
        fields.end()
        return replacement


@dataclass(frozen=True)
class RetiredSets:
    """All sets of a group up to an epoch, whose certified one has this hash; erased once the request has made
    its own (R26)."""

    group_id: str
    epoch: int
    certificate_hash: bytes

    def to_json(self) -> dict[str, Json]:
        return {
            "group_id": self.group_id,
            "epoch": self.epoch,
            "certificate_hash": self.certificate_hash.hex(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "RetiredSets":
        retired = cls(
            group_id=fields.identifier("group_id"),
            epoch=fields.integer("epoch", low=1),
            certificate_hash=fields.hex("certificate_hash", 32),
        )
        fields.end()
        return retired


@dataclass(frozen=True)
class Intent:
    """All that a request would do.

    domain: authority domain (R2); source: the share set that deals, None for KeyGen (for RoleChange and
    PolicyChange the Main set whose holders decide; a RoleChange whose Main is lost names a Recovery set);
    target: the group that gets shares (RoleChange: the group that becomes Main; PolicyChange: the Main
    group); expected: root keys that must stay, empty for KeyGen; eligible: source holders that may vote and
    deal, the preferred first (R21); new_policy_hash: PolicyChange only; original_main: RoleChange only,
    RETIRED or CONVERTED; operators_needed: how few operators could use the key afterwards (R29);
    overlap_accepted: the requester knows that source and target group are nearly the same people (R29);
    protocol: "" where no ceremony runs; times in Unix milliseconds; nonce: 32 bytes; policy_hash: 32 bytes
    (R12).
    """

    organisation_id: str
    vault_id: str
    request_id: str
    type: str
    target: GroupReference
    curves: tuple[str, ...]
    protocol: str
    min_software: str
    policy_hash: bytes
    requester: Requester
    not_before: int
    expires: int
    nonce: bytes
    description: str
    operators_needed: int
    source: GroupReference | None = None
    expected: tuple[ExpectedKey, ...] = ()
    eligible: tuple[str, ...] = ()
    replaces: tuple[Replacement, ...] = ()
    retires: tuple[RetiredSets, ...] = ()
    new_policy_hash: bytes = b""
    original_main: str = ""
    overlap_accepted: bool = False
    domain: str = "vault"

    @property
    def runs_ceremony(self) -> bool:
        return self.type in CEREMONY_TYPES

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "domain": self.domain,
            "organisation_id": self.organisation_id,
            "vault_id": self.vault_id,
            "request_id": self.request_id,
            "type": self.type,
            "source": self.source.to_json() if self.source else None,
            "target": self.target.to_json(),
            "expected": [key.to_json() for key in self.expected],
            "eligible": list(self.eligible),
            "replaces": [each.to_json() for each in self.replaces],
            "retires": [each.to_json() for each in self.retires],
            "new_policy_hash": self.new_policy_hash.hex(),
            "original_main": self.original_main,
            "operators_needed": self.operators_needed,
            "overlap_accepted": self.overlap_accepted,
            "curves": list(self.curves),
            "protocol": self.protocol,
            "min_software": self.min_software,
            "policy_hash": self.policy_hash.hex(),
            "requester": self.requester.to_json(),
            "not_before": self.not_before,
            "expires": self.expires,
            "nonce": self.nonce.hex(),
            "description": self.description,
        }

    def encode(self) -> bytes:
        return canonical_bytes(self.to_json())

    def digest(self) -> bytes:
        """SHA-256("quorate/intent/v1" || JCS(intent)), 32 bytes."""
        return intent_digest(self.encode())

    @classmethod
    def parse(cls, data: bytes) -> "Intent":
        """Parse a canonical intent.

        Unknown fields, types and versions, and fields that do not belong to the type, are refused. Raises
        CanonicalError or WireError.
        """
        fields = Fields(parse_canonical(data), "intent")
        fields.version()
        source = fields.take("source")
        intent = cls(
            domain=fields.text("domain", choices=("vault",)),
            organisation_id=fields.identifier("organisation_id"),
            vault_id=fields.identifier("vault_id"),
            request_id=fields.identifier("request_id", max_length=32),
            type=fields.text("type", choices=TYPES),
            # Not by truth value: {} or "" would be second texts of the same intent (R8).
            source=None
            if source is None
            else GroupReference.from_fields(Fields(source, fields.path("source"))),
            target=GroupReference.from_fields(Fields(fields.take("target"), fields.path("target"))),
            expected=tuple(map(ExpectedKey.from_fields, fields.objects("expected", max_length=len(CURVES)))),
            eligible=fields.texts("eligible", max_length=MAX_PARTICIPANTS),
            replaces=tuple(
                map(Replacement.from_fields, fields.objects("replaces", max_length=MAX_PARTICIPANTS))
            ),
            retires=tuple(map(RetiredSets.from_fields, fields.objects("retires", max_length=_MAX_RETIRED))),
            new_policy_hash=fields.optional_hex("new_policy_hash", 32),
            original_main=fields.text("original_main", choices=("", RETIRED, CONVERTED), empty=True),
            operators_needed=fields.integer("operators_needed", low=1, high=MAX_PARTICIPANTS),
            overlap_accepted=fields.boolean("overlap_accepted"),
            curves=fields.texts("curves", choices=CURVES),
            protocol=fields.text("protocol", max_length=32, empty=True),
            min_software=fields.identifier("min_software", max_length=32),
            policy_hash=fields.hex("policy_hash", 32),
            requester=Requester.from_fields(Fields(fields.take("requester"), fields.path("requester"))),
            not_before=fields.integer("not_before"),
            expires=fields.integer("expires"),
            nonce=fields.hex("nonce", 32),
            description=fields.text("description", max_length=1000, empty=True),
        )
        fields.end()
        intent._check_shape()
        return intent

    def _check_shape(self) -> None:
        """What a type does not use is empty, so that no two texts mean the same. Raises WireError."""

        def need(condition: bool, field: str, message: str) -> None:
            if not condition:
                raise WireError(f"intent.{field}", f"{message} for {self.type}")

        fresh = self.type == KEY_GEN
        need((self.source is None) == fresh, "source", "must be null" if fresh else "is missing")
        need(
            tuple(key.curve for key in self.expected) == (() if fresh else self.curves),
            "expected",
            "must be empty" if fresh else "must have one entry for each of curves in that order",
        )
        need(bool(self.eligible) != fresh, "eligible", "must be empty" if fresh else "is empty")
        need(
            self.source is None or self.source.certificate_hash != b"",
            "source.certificate_hash",
            "must not be empty",
        )
        need(bool(self.protocol) == self.runs_ceremony, "protocol", "is wrong")
        need(not self.replaces or self.type in (RECOVERY, RESHARE), "replaces", "must be empty")
        need(not self.retires or self.runs_ceremony, "retires", "must be empty")
        need(
            bool(self.new_policy_hash) == (self.type == POLICY_CHANGE),
            "new_policy_hash",
            "must name a policy in a PolicyChange only; is wrong",
        )
        need(
            bool(self.original_main) == (self.type == ROLE_CHANGE), "original_main", "is for RoleChange only"
        )


def intent_digest(encoded: bytes) -> bytes:
    """The digest of a canonical intent, 32 bytes."""
    return sha256(_DIGEST_TAG + encoded).digest()
