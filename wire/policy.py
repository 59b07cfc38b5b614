"""The policy document of a vault, hashed into every intent (R12)."""

from collections.abc import Mapping
from dataclasses import dataclass

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields, WireError
from wire.intent import MAX_LIFETIME_MS, TYPES
from wire.manifest import MAX_PARTICIPANTS

# Who may make a request: members by their role, and API keys that belong to no member.
CREATORS = ("admin", "operator", "approver", "robot")
# One approval alone never decides anything.
LEAST_APPROVALS = 2
MAX_GRACE_MS = 90 * 24 * 3600 * 1000
_TAG = "quorate/policy/v1"


@dataclass(frozen=True)
class VaultPolicy:
    """A version of a vault's rules; each later one is approved under the one before it.

    creators: request type -> who may ask for it, a type that is missing is not allowed; request_lifetime:
    milliseconds from creation to expiry; required_approvals: of source holders, at least LEAST_APPROVALS (the
    protocol's own threshold counts where it is higher); erase_grace: milliseconds that a retired share is
    kept after its successor's certificate (R26); shared_nodes: whether one node may hold shares in several
    groups of the vault; predecessor: hash of the policy it replaces, empty for the first.
    """

    vault_id: str
    creators: Mapping[str, tuple[str, ...]]
    request_lifetime: int
    required_approvals: int
    erase_grace: int
    shared_nodes: bool
    predecessor: bytes = b""

    @property
    def request_types(self) -> tuple[str, ...]:
        """What may be asked for at all."""
        return tuple(self.creators)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "vault_id": self.vault_id,
            "creators": {type: list(who) for type, who in self.creators.items()},
            "request_lifetime": self.request_lifetime,
            "required_approvals": self.required_approvals,
            "erase_grace": self.erase_grace,
            "shared_nodes": self.shared_nodes,
            "predecessor": self.predecessor.hex(),
        }

    def encode(self) -> bytes:
        return canonical_bytes(self.to_json())

    def hash(self) -> bytes:
        return tagged_hash(_TAG, self.encode())

    @classmethod
    def parse(cls, data: bytes) -> "VaultPolicy":
        """Parse a canonical policy. Raises CanonicalError or WireError."""
        return cls.from_json(parse_canonical(data))

    @classmethod
    def from_json(cls, value: Json, path: str = "policy") -> "VaultPolicy":
        """Read a parsed policy. Raises WireError that names the field."""
        fields = Fields(value, path)
        fields.version()
        policy = cls(
            vault_id=fields.identifier("vault_id"),
            creators=_creators(fields),
            request_lifetime=fields.integer("request_lifetime", low=60_000, high=MAX_LIFETIME_MS),
            required_approvals=fields.integer(
                "required_approvals", low=LEAST_APPROVALS, high=MAX_PARTICIPANTS
            ),
            erase_grace=fields.integer("erase_grace", high=MAX_GRACE_MS),
            shared_nodes=fields.boolean("shared_nodes"),
            predecessor=fields.optional_hex("predecessor", 32),
        )
        fields.end()
        return policy


def _creators(fields: Fields) -> dict[str, tuple[str, ...]]:
    path = fields.path("creators")
    value = fields.take("creators")
    if not isinstance(value, Mapping):
        raise WireError(path, "must be an object")
    unknown = set(value) - set(TYPES)
    if unknown:
        raise WireError(f"{path}.{min(unknown)}", "is no request type")
    entries = Fields(value, path)
    # In the order of TYPES, so that equal policies compare equal whatever order they were read in.
    return {type: entries.texts(type, choices=CREATORS) for type in TYPES if type in value}
