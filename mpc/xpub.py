"""Root extended public keys and the public derivation of their children.

secp256k1: BIP 32 exactly, non-hardened CKDpub; the text is an ordinary xpub.

Ed25519: no standard form exists, so this one is fixed here. The text has BIP 32's 78-byte layout and mainnet
version: depth, parent fingerprint (first 4 bytes of HASH160 of the parent's 33-byte key field), child number,
chain code, and the key field 0x00 || A (RFC 8032 encoding of the public key). BIP 32 gives that prefix to
private keys only, under another version, so that an ordinary BIP 32 reader refuses the text. Children are
BIP32-Ed25519 soft derivation, public side (Khovratovich and Law, "BIP32-Ed25519: Hierarchical Deterministic
Keys over a Non-linear Keyspace", 2017, section V.B and V.D), i < 2^31, as 4 bytes little-endian:
    Z   = HMAC-SHA512(c, 0x02 || A || i);   A_i = A + 8 * int_le(Z[0:28]) * B
    c_i = HMAC-SHA512(c, 0x03 || A || i)[32:64]
The matching secret is a + 8 * int_le(Z[0:28]) mod L, to which a holder's share moves by the same constant.
Unlike the paper's, root scalars here are uniform mod L and not clamped, and there is no "right half" kR:
threshold signing needs neither.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mpc.base58 import b58decode_check, b58encode_check
from mpc.curves import ED25519, SECP256K1, curve_named
from mpc.encoding import Reader, Writer, parse_record
from mpc.errors import EncodingError, InvalidParameters
from mpc.hash160 import hash160

VERSION = bytes.fromhex("0488b21e")
HARDENED = 2**31
_ENCODED_SIZE = 78


@dataclass(frozen=True)
class ExtendedPublicKey:
    """A public key that has public children.

    key: encoded point; chain_code: 32 bytes; parent_fingerprint: 4 bytes. Raises EncodingError for a key,
    chain code or position that no derivation can have.
    """

    curve: str
    key: bytes
    chain_code: bytes
    depth: int = 0
    parent_fingerprint: bytes = bytes(4)
    child_number: int = 0

    def __post_init__(self) -> None:
        curve_named(self.curve).parse_point(self.key)
        if len(self.chain_code) != 32:
            raise EncodingError("chain_code", "must be 32 bytes")
        if (
            len(self.parent_fingerprint) != 4
            or not 0 <= self.child_number < 2**32
            or not 0 <= self.depth <= 255
        ):
            raise EncodingError("xpub", "depth, parent fingerprint or child number out of range")
        if self.depth == 0 and (self.parent_fingerprint != bytes(4) or self.child_number):
            raise EncodingError("xpub", "a root has neither parent nor child number")

    def encode(self) -> str:
        """Base58Check text, "xpub..."."""
        writer = (
            Writer().fixed(VERSION, 4).u8(self.depth).fixed(self.parent_fingerprint, 4).u32(self.child_number)
        )
        return b58encode_check(writer.fixed(self.chain_code, 32).fixed(self._key_field(), 33).done())

    @classmethod
    def parse(cls, text: str, curve: str) -> "ExtendedPublicKey":
        """Parse the text of a key on this curve. Raises EncodingError."""

        def read(reader: Reader) -> ExtendedPublicKey:
            if reader.fixed(4, "version") != VERSION:
                raise EncodingError("version", "not a mainnet extended public key")
            depth, fingerprint, child = (
                reader.u8("depth"),
                reader.fixed(4, "parent_fingerprint"),
                reader.u32("child"),
            )
            chain_code, field = reader.fixed(32, "chain_code"), reader.fixed(33, "key")
            if curve == ED25519.name:
                if field[0] != 0:
                    raise EncodingError("key", "not an Ed25519 key field")
                field = field[1:]
            return cls(curve, field, chain_code, depth, fingerprint, child)

        return parse_record(b58decode_check(text), _ENCODED_SIZE, read)

    def fingerprint(self) -> bytes:
        """The first 4 bytes of the key's identifier (BIP 32, Key identifiers)."""
        return hash160(self._key_field())[:4]

    def child_tweak(self, index: int) -> tuple[bytes, bytes]:
        """(scalar to add to the secret, chain code) of child `index` < 2^31.

        Raises InvalidParameters for a hardened or impossible index and for a child beyond depth 255;
        InvalidScalar where BIP 32 says to proceed with the next index (probability 2^-127).
        """
        if type(index) is not int or not 0 <= index < HARDENED:
            raise InvalidParameters("index", "must be 0..2^31-1: a public key has no hardened children")
        if self.depth >= 255:
            raise InvalidParameters("depth", "a path has at most 255 steps")
        if self.curve == SECP256K1.name:
            digest = hmac.digest(self.chain_code, self.key + index.to_bytes(4, "big"), hashlib.sha512)
            return SECP256K1.parse_scalar(digest[:32]), digest[32:]
        message = self.key + index.to_bytes(4, "little")
        left = hmac.digest(self.chain_code, b"\x02" + message, hashlib.sha512)[:28]
        tweak = ED25519.encode_int(8 * int.from_bytes(left, "little"))
        chain_code = hmac.digest(self.chain_code, b"\x03" + message, hashlib.sha512)[32:]
        return ED25519.parse_scalar(tweak), chain_code

    def child(self, index: int) -> "ExtendedPublicKey":
        """The non-hardened child `index`.

        Raises as `child_tweak`, and PointAtInfinity for a child that is none.
        """
        tweak, chain_code = self.child_tweak(index)
        curve = curve_named(self.curve)
        key = curve.add(curve.parse_point(self.key), curve.base_multiply(tweak))
        return ExtendedPublicKey(
            self.curve, key.encoded, chain_code, self.depth + 1, self.fingerprint(), index
        )

    def derive(self, path: Sequence[int]) -> "ExtendedPublicKey":
        """The descendant along `path`. Raises as `child`."""
        key = self
        for index in path:
            key = key.child(index)
        return key

    def _key_field(self) -> bytes:
        return self.key if self.curve == SECP256K1.name else b"\x00" + self.key


def parse_path(text: str) -> tuple[int, ...]:
    """ "m/0/7" as (0, 7).

    Raises InvalidParameters for anything but non-hardened steps in plain decimal, 255 at most.
    """
    steps = text.split("/")
    if steps[0] != "m" or len(steps) > 256:
        raise InvalidParameters("path", "must begin with m and have at most 255 steps")
    for step in steps[1:]:
        plain = step.isascii() and step.isdigit() and len(step) <= 10 and (step == "0" or step[0] != "0")
        if not plain or int(step) >= HARDENED:
            raise InvalidParameters("path", "steps must be non-hardened, 0..2^31-1, in plain decimal")
    return tuple(int(step) for step in steps[1:])
