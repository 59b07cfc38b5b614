"""The node's identity: keys made here that never leave, and the card that describes their holder (R4, R7)."""

from dataclasses import dataclass
from io import StringIO

import segno
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from mpc.base58 import b58decode
from mpc.encoding import HASH_SIZE
from mpc.errors import EncodingError
from signers.errors import NodeError
from signers.sealing import DataKey, Place
from wire.identity import NODE_ID_PREFIX, HolderCard, fingerprint_words, identity_hash, node_id

_SECRET_SIZE = 64


class Identity:
    """The unlocked identity: an Ed25519 signing key and an X25519 encryption key."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _SECRET_SIZE:
            raise ValueError("an identity has two keys of 32 bytes")
        self._signing_key = SigningKey(secret[:32])
        self._encryption_key = PrivateKey(secret[32:])
        self.signing_key = self._signing_key.verify_key.encode()
        self.encryption_key = self._encryption_key.public_key.encode()
        self.node_id = node_id(self.signing_key, self.encryption_key)

    def __repr__(self) -> str:
        return f"Identity({self.node_id})"

    @classmethod
    def generate(cls) -> "Identity":
        return cls(SigningKey.generate().encode() + PrivateKey.generate().encode())

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self._signing_key.sign(message).signature

    def sealed(self, data_key: DataKey) -> bytes:
        secret = self._signing_key.encode() + self._encryption_key.encode()
        return data_key.seal(_place(self.node_id), secret)

    @classmethod
    def open(cls, data_key: DataKey, own_id: str, sealed: bytes) -> "Identity":
        """The identity `own_id` from its sealed form. Raises NodeError (see DataKey.open)."""
        return cls(data_key.open(_place(own_id), sealed))

    def card(self, kind: str, version: int = 1) -> HolderCard:
        """The signed holder card; kind: api or service (R1, R7)."""
        unsigned = HolderCard(self.signing_key, self.encryption_key, kind, version, "node", b"")
        return HolderCard(
            self.signing_key, self.encryption_key, kind, version, "node", self.sign(unsigned.signed_bytes())
        )


@dataclass(frozen=True)
class Fingerprint:
    """What two operators compare over the telephone (R4): node id, 32 bytes in hex, 12 words (128 bits)."""

    node_id: str
    hex: str
    words: str

    @classmethod
    def of(cls, signing_key: bytes, encryption_key: bytes) -> "Fingerprint":
        return cls(
            node_id(signing_key, encryption_key),
            identity_hash(signing_key, encryption_key).hex(),
            fingerprint_words(signing_key, encryption_key),
        )

    def lines(self) -> str:
        grouped = " ".join(self.hex[at : at + 4] for at in range(0, len(self.hex), 4))
        return f"node id      {self.node_id}\nfingerprint  {grouped}\nwords        {self.words}"

    def qr(self) -> str:
        """A QR code of the node id in terminal characters."""
        out = StringIO()
        segno.make(self.node_id, error="m").terminal(out=out, compact=True)
        return out.getvalue()


def check_node_id(text: str) -> None:
    """Raise NodeError bad_node_id for what cannot be a node id (R4)."""
    try:
        size = len(b58decode(text.removeprefix(NODE_ID_PREFIX))) if text.startswith(NODE_ID_PREFIX) else 0
    except EncodingError:
        size = 0
    if size != HASH_SIZE:
        raise NodeError("bad_node_id", f"{text[:80]} is not a node id: copy all of it")


def _place(own_id: str) -> Place:
    return Place("identity", own_id)
