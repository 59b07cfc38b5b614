"""Node identities that certify themselves (R4), and the signed card that describes a holder (R7)."""

from dataclasses import dataclass
from hashlib import sha256

from mnemonic import Mnemonic

from mpc.base58 import b58encode
from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes
from wire.credential import MAX_CREDENTIALS, Credential
from wire.fields import Fields, WireError
from wire.signatures import verify_signature

NODE_ID_PREFIX = "quo"
KINDS = ("api", "service")
# How a holder's vote is given: by its node, or by a passkey as well. `passkey`: the node may follow the
# passkey by itself where its own rules say so (R10); `both`: its operator confirms each time.
NODE, PASSKEY, BOTH = "node", "passkey", "both"
METHODS = (NODE, PASSKEY, BOTH)
_CARD_TAG = "quorate/holder-card/v1"


def identity_hash(signing_key: bytes, encryption_key: bytes) -> bytes:
    """SHA-256(signing key || encryption key), 32 bytes (R4)."""
    return sha256(signing_key + encryption_key).digest()


def node_id(signing_key: bytes, encryption_key: bytes) -> str:
    """The node id: "quo" and base58 of the identity hash."""
    return NODE_ID_PREFIX + b58encode(identity_hash(signing_key, encryption_key))


def fingerprint_words(signing_key: bytes, encryption_key: bytes) -> str:
    """Twelve words of BIP 39's English list for the first 128 bits of the identity hash (R4)."""
    return Mnemonic("english").to_mnemonic(identity_hash(signing_key, encryption_key)[:16])


@dataclass(frozen=True)
class HolderCard:
    """What a holder says about itself, signed by its identity key.

    kind: "service" for a node that the coordinator's operator hosts (counted by R1), else "api".
    version: rises with every change; method: how its vote is given (R7).
    credentials: the passkeys that may vote for it.
    """

    signing_key: bytes
    encryption_key: bytes
    kind: str
    version: int
    method: str
    signature: bytes
    credentials: tuple[Credential, ...] = ()

    @property
    def node_id(self) -> str:
        return node_id(self.signing_key, self.encryption_key)

    def body(self) -> dict[str, Json]:
        return {
            "v": 1,
            "node_id": self.node_id,
            "signing_key": self.signing_key.hex(),
            "encryption_key": self.encryption_key.hex(),
            "kind": self.kind,
            "version": self.version,
            "method": self.method,
            "credentials": [each.to_json() for each in self.credentials],
        }

    @property
    def needs_passkey(self) -> bool:
        return self.method != NODE

    def credential(self, credential_id: bytes) -> Credential | None:
        return next((each for each in self.credentials if each.id == credential_id), None)

    def signed_bytes(self) -> bytes:
        return tagged_hash(_CARD_TAG, canonical_bytes(self.body()))

    def to_json(self) -> dict[str, Json]:
        return {"card": self.body(), "signature": self.signature.hex()}

    @classmethod
    def from_json(cls, value: Json, path: str = "holder_card") -> "HolderCard":
        """Parse and verify a card. Raises WireError that names the field."""
        outer = Fields(value, path)
        fields = Fields(outer.take("card"), outer.path("card"))
        signature = outer.hex("signature", 64)
        outer.end()
        fields.version()
        claimed_id = fields.text("node_id", max_length=64)
        card = cls(
            signing_key=fields.hex("signing_key", 32),
            encryption_key=fields.hex("encryption_key", 32),
            kind=fields.text("kind", choices=KINDS),
            version=fields.integer("version", low=1),
            method=fields.text("method", choices=METHODS),
            signature=signature,
            credentials=tuple(
                Credential.from_json(each, f"{fields.path('credentials')}[{position}]")
                for position, each in enumerate(fields.list("credentials", max_length=MAX_CREDENTIALS))
            ),
        )
        fields.end()
        if len({each.id for each in card.credentials}) != len(card.credentials):
            raise WireError(fields.path("credentials"), "the same credential is there twice")
        if card.needs_passkey and not card.credentials:
            raise WireError(fields.path("method"), "needs a passkey, and the card has none")
        # R4: the id is derived, so a card cannot claim another node's id.
        if claimed_id != card.node_id:
            raise WireError(fields.path("node_id"), "is not the id of these keys")
        if not verify_signature(card.signing_key, card.signed_bytes(), signature):
            raise WireError(outer.path("signature"), "is not the holder's signature of this card")
        return card
