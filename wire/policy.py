"""The policy document of a vault, hashed into every intent (R12)."""

from dataclasses import dataclass

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields
from wire.intent import MAX_LIFETIME_MS, TYPES

_TAG = "quorate/policy/v1"


@dataclass(frozen=True)
class VaultPolicy:
    """First version of a vault's rules.

    request_types: what may be asked for; request_lifetime: milliseconds from creation to expiry;
    predecessor: hash of the policy it replaces, empty for the first.
    """

    vault_id: str
    request_types: tuple[str, ...]
    request_lifetime: int
    predecessor: bytes = b""

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "vault_id": self.vault_id,
            "request_types": list(self.request_types),
            "request_lifetime": self.request_lifetime,
            "predecessor": self.predecessor.hex(),
        }

    def encode(self) -> bytes:
        return canonical_bytes(self.to_json())

    def hash(self) -> bytes:
        return tagged_hash(_TAG, self.encode())

    @classmethod
    def parse(cls, data: bytes) -> "VaultPolicy":
        """Parse a canonical policy. Raises CanonicalError or WireError."""
        fields = Fields(parse_canonical(data), "policy")
        fields.version()
        policy = cls(
            vault_id=fields.identifier("vault_id"),
            request_types=fields.texts("request_types", choices=TYPES),
            request_lifetime=fields.integer("request_lifetime", low=60_000, high=MAX_LIFETIME_MS),
            predecessor=fields.hex("predecessor", 0),
        )
        fields.end()
        return policy
