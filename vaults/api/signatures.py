"""The signature of an API request: what is signed, and whether a key signed it (the vendor's scheme)."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from coincurve import PublicKey
from coincurve.ecdsa import cdata_to_der, der_to_cdata
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

# Signed by the SDK as an empty body: a request whose optional fields are all unset.
_EMPTY_OBJECT = b"{}"
_MAX_DER = 72


@dataclass(frozen=True)
class SignedParts:
    """raw_path: percent-encoded, with /v2; path: decoded; query: as sent, without "?"; nonce: digits."""

    method: str
    raw_path: bytes
    path: str
    nonce: str
    query: bytes
    body: bytes

    def candidates(self) -> Iterator[bytes]:
        """Every string that an honest client may have signed for this request.

        The Python and JS SDKs sign the encoded path, the Go SDK the decoded one.
        """
        for path in dict.fromkeys((self.raw_path, self.path.encode("utf-8", "surrogatepass"))):
            for body in (self.body, b"") if self.body == _EMPTY_OBJECT else (self.body,):
                parts = (self.method.encode(), path, self.nonce.encode(), self.query, body)
                yield b"|".join(parts)

    def ambiguous(self) -> bool:
        """Whether a raw separator in path or query would let one signature cover two different requests."""
        return b"|" in self.raw_path or b"|" in self.query or "|" in self.path


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of SHA-256, 32 bytes."""
    return sha256(sha256(data).digest()).digest()


def verify(public_key: bytes, signature: bytes, parts: SignedParts) -> bool:
    """Whether the key (32 bytes Ed25519, 33 bytes SECP256K1) signed the request; bad bytes never raise."""
    check = _ed25519 if len(public_key) == 32 else _secp256k1
    return any(check(public_key, signature, double_sha256(text)) for text in parts.candidates())


def _ed25519(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    if len(signature) != 64:
        return False
    try:
        VerifyKey(public_key).verify(digest, signature)
    except BadSignatureError:
        return False
    return True


def _secp256k1(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """DER, low s. One signature has one encoding, or a replay could pass for a new request."""
    if not 8 <= len(signature) <= _MAX_DER:
        return False
    try:
        if cdata_to_der(der_to_cdata(signature)) != signature:
            return False
        return PublicKey(public_key).verify(signature, digest, hasher=None)
    except ValueError:
        return False
