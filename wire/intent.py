"""The intent: the canonical JSON of all that a request would do.

Its digest is what people and nodes approve (R8).
"""

from dataclasses import dataclass
from hashlib import sha256

from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields
from wire.manifest import MAX_PARTICIPANTS, ROLES

TYPES = ("KeyGen",)
CURVES = ("secp256k1", "ed25519")
REQUESTER_KINDS = ("member", "robot")
MAX_LIFETIME_MS = 7 * 24 * 3600 * 1000  # R15: expiry minus not-before
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
class Target:
    """The group that would receive shares."""

    group_id: str
    role: str
    manifest_hash: bytes
    threshold: int
    participants: int
    epoch: int

    def to_json(self) -> dict[str, Json]:
        return {
            "group_id": self.group_id,
            "role": self.role,
            "manifest_hash": self.manifest_hash.hex(),
            "threshold": self.threshold,
            "participants": self.participants,
            "epoch": self.epoch,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Target":
        participants = fields.integer("participants", low=1, high=MAX_PARTICIPANTS)
        target = cls(
            group_id=fields.identifier("group_id"),
            role=fields.text("role", choices=ROLES),
            manifest_hash=fields.hex("manifest_hash", 32),
            threshold=fields.integer("threshold", low=1, high=participants),
            participants=participants,
            epoch=fields.integer("epoch", low=1),
        )
        fields.end()
        return target


@dataclass(frozen=True)
class KeyGenIntent:
    """All that a KeyGen request would do.

    domain: authority domain (R2); times in Unix milliseconds; nonce: 32 bytes; policy_hash: 32 bytes (R12).
    The fields of the other request types (source, expected, eligible, replaces, retires) are present and
    empty, so that every type has the same shape.
    """

    organisation_id: str
    vault_id: str
    request_id: str
    target: Target
    curves: tuple[str, ...]
    protocol: str
    min_software: str
    policy_hash: bytes
    requester: Requester
    not_before: int
    expires: int
    nonce: bytes
    description: str
    domain: str = "vault"
    type: str = "KeyGen"

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "domain": self.domain,
            "organisation_id": self.organisation_id,
            "vault_id": self.vault_id,
            "request_id": self.request_id,
            "type": self.type,
            "source": None,
            "expected": None,
            "eligible": [],
            "replaces": [],
            "retires": [],
            "target": self.target.to_json(),
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
    def parse(cls, data: bytes) -> "KeyGenIntent":
        """Parse a canonical intent.

        Unknown fields, types and versions are refused. Raises CanonicalError or WireError.
        """
        fields = Fields(parse_canonical(data), "intent")
        fields.version()
        intent = cls(
            domain=fields.text("domain", choices=("vault",)),
            organisation_id=fields.identifier("organisation_id"),
            vault_id=fields.identifier("vault_id"),
            request_id=fields.identifier("request_id", max_length=32),
            type=fields.text("type", choices=TYPES),
            target=Target.from_fields(Fields(fields.take("target"), fields.path("target"))),
            curves=fields.texts("curves", choices=CURVES),
            protocol=fields.identifier("protocol", max_length=32),
            min_software=fields.identifier("min_software", max_length=32),
            policy_hash=fields.hex("policy_hash", 32),
            requester=Requester.from_fields(Fields(fields.take("requester"), fields.path("requester"))),
            not_before=fields.integer("not_before"),
            expires=fields.integer("expires"),
            nonce=fields.hex("nonce", 32),
            description=fields.text("description", max_length=1000, empty=True),
        )
        fields.null("source")
        fields.null("expected")
        for name in ("eligible", "replaces", "retires"):
            fields.list(name, max_length=0)
        fields.end()
        return intent


def intent_digest(encoded: bytes) -> bytes:
    """The digest of a canonical intent, 32 bytes."""
    return sha256(_DIGEST_TAG + encoded).digest()
