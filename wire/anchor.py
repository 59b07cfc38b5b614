"""The anchor: what a node pins about a key before it joins it (R6).

An existing holder exports it from its own store; the joining node's operator compares the twelve words with
that holder and pins it. The chain of certificates is then checked from `certificate_hash` on.
"""

from dataclasses import dataclass

from mnemonic import Mnemonic

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields
from wire.intent import CURVES, ExpectedKey

_TAG = "quorate/anchor/v1"


@dataclass(frozen=True)
class Anchor:
    """certificate_hash: of the KeyGen certificate, 32 bytes; root_keys: one a curve; policy_hash: of the
    vault's policy now, 32 bytes (R12); main_group_id: of the group that is Main now; main_since: not-before
    of the request that made it Main, Unix milliseconds: an earlier one says nothing any more (R16)."""

    organisation_id: str
    vault_id: str
    certificate_hash: bytes
    root_keys: tuple[ExpectedKey, ...]
    policy_hash: bytes
    main_group_id: str
    main_since: int

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "organisation_id": self.organisation_id,
            "vault_id": self.vault_id,
            "certificate_hash": self.certificate_hash.hex(),
            "root_keys": [key.to_json() for key in self.root_keys],
            "policy_hash": self.policy_hash.hex(),
            "main_group_id": self.main_group_id,
            "main_since": self.main_since,
        }

    def encode(self) -> bytes:
        return canonical_bytes(self.to_json())

    def words(self) -> str:
        """Twelve words of BIP 39's English list for the first 128 bits of its hash, to compare by voice."""
        return Mnemonic("english").to_mnemonic(tagged_hash(_TAG, self.encode())[:16])

    @classmethod
    def parse(cls, data: bytes) -> "Anchor":
        """Parse a canonical anchor. Raises CanonicalError or WireError."""
        fields = Fields(parse_canonical(data, max_bytes=1 << 16), "anchor")
        fields.version()
        anchor = cls(
            organisation_id=fields.identifier("organisation_id"),
            vault_id=fields.identifier("vault_id"),
            certificate_hash=fields.hex("certificate_hash", 32),
            root_keys=tuple(
                map(ExpectedKey.from_fields, fields.objects("root_keys", max_length=len(CURVES)))
            ),
            policy_hash=fields.hex("policy_hash", 32),
            main_group_id=fields.identifier("main_group_id"),
            main_since=fields.integer("main_since"),
        )
        fields.end()
        return anchor
