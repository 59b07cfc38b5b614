"""The manifest: the signed roster of one key share holder group (R7)."""

from dataclasses import dataclass

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields, WireError
from wire.identity import HolderCard

ROLES = ("main", "signing", "recovery")
MAX_PARTICIPANTS = 100
_TAG = "quorate/manifest/v1"


@dataclass(frozen=True)
class Manifest:
    """Roster of a group: who holds which index, t-of-n, role and epoch.

    holders: cards in index order; the holder at position i has index i + 1.
    """

    organisation_id: str
    vault_id: str
    group_id: str
    role: str
    epoch: int
    threshold: int
    holders: tuple[HolderCard, ...]

    @property
    def participants(self) -> int:
        return len(self.holders)

    @property
    def node_ids(self) -> tuple[str, ...]:
        return tuple(card.node_id for card in self.holders)

    def index_of(self, node_id: str) -> int:
        """The 1-based index of a member. Raises KeyError for others."""
        for index, card in enumerate(self.holders, start=1):
            if card.node_id == node_id:
                return index
        raise KeyError(node_id)

    def card_of(self, node_id: str) -> HolderCard:
        return self.holders[self.index_of(node_id) - 1]

    def service_members(self) -> int:
        """How many holders are nodes of the service itself (R1)."""
        return sum(card.kind == "service" for card in self.holders)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "organisation_id": self.organisation_id,
            "vault_id": self.vault_id,
            "group_id": self.group_id,
            "role": self.role,
            "epoch": self.epoch,
            "threshold": self.threshold,
            "participants": self.participants,
            "holders": [{"index": i, **card.to_json()} for i, card in enumerate(self.holders, start=1)],
        }

    def encode(self) -> bytes:
        return canonical_bytes(self.to_json())

    def hash(self) -> bytes:
        """32 bytes that an intent names."""
        return tagged_hash(_TAG, self.encode())

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Parse a canonical manifest and verify every card in it. Raises CanonicalError or WireError."""
        fields = Fields(parse_canonical(data), "manifest")
        fields.version()
        participants = fields.integer("participants", low=1, high=MAX_PARTICIPANTS)
        threshold = fields.integer("threshold", low=1, high=participants)
        entries = fields.list("holders", max_length=MAX_PARTICIPANTS)
        if len(entries) != participants:
            raise WireError(fields.path("holders"), f"must have exactly {participants} entries")
        manifest = cls(
            organisation_id=fields.identifier("organisation_id"),
            vault_id=fields.identifier("vault_id"),
            group_id=fields.identifier("group_id"),
            role=fields.text("role", choices=ROLES),
            epoch=fields.integer("epoch", low=1),
            threshold=threshold,
            holders=tuple(
                _holder(entry, i, fields.path(f"holders[{i - 1}]")) for i, entry in enumerate(entries, 1)
            ),
        )
        fields.end()
        check_distinct(manifest.holders)
        return manifest


def check_distinct(holders: tuple[HolderCard, ...]) -> None:
    """R7: one identity key or credential under two holders makes the manifest invalid. Raises WireError."""
    for name in ("node_id", "signing_key", "encryption_key"):
        if len({getattr(card, name) for card in holders}) != len(holders):
            raise WireError("manifest.holders", f"two holders have the same {name}")
    credentials = [each for card in holders for each in card.credentials]
    for name in ("id", "public_key"):
        if len({getattr(each, name) for each in credentials}) != len(credentials):
            raise WireError("manifest.holders", f"two passkeys have the same {name}")


def _holder(entry: Json, index: int, path: str) -> HolderCard:
    if not isinstance(entry, dict) or entry.get("index") != index or isinstance(entry.get("index"), bool):
        raise WireError(f"{path}.index", f"must be {index}")
    return HolderCard.from_json({name: value for name, value in entry.items() if name != "index"}, path)
