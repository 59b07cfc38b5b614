"""Encryption of one dealer's shares to one recipient; a complaint can open exactly this (R22).

X25519 from a single-use key to the recipient's key for this session and dealer, HKDF-SHA256 (RFC 5869),
ChaCha20-Poly1305 (RFC 8439). Every message has a key of its own, so the nonce is zero: no counter exists that
could repeat (TOB-SILA-6). A sealed message is the single-use public key (32), the ciphertext, and the tag
(16).
"""

import hashlib
import hmac

import nacl.bindings as sodium
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError

from mpc.encoding import encode_fields
from mpc.errors import DecryptionFailed, InvalidPoint

KEY_SIZE = 32
OVERHEAD = 32 + 16
_NONCE = bytes(12)


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 with SHA-256; size at most 8160 bytes."""
    key = hmac.digest(salt or bytes(32), secret, hashlib.sha256)
    block, output = b"", b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), hashlib.sha256)
        output += block
    return output[:size]


def public_key(private_key: bytes) -> bytes:
    """The X25519 public key (32 bytes) of a private key (any 32 uniform bytes)."""
    return bytes(sodium.crypto_scalarmult_base(private_key))


def is_usable(recipient: bytes) -> bool:
    """False for X25519 keys of small order, with which every exchange gives zero (RFC 7748, 6.1)."""
    try:
        sodium.crypto_scalarmult(b"\x01" + bytes(31), recipient)
    except SodiumError:
        return False
    return True


def seal(plaintext: bytes, recipient: bytes, context: bytes, ephemeral: bytes) -> bytes:
    """Encrypt to an X25519 public key; `ephemeral` is a private key used for this message only.

    Raises InvalidPoint if the recipient's key is of small order.
    """
    single_use = public_key(ephemeral)
    try:
        shared = bytes(sodium.crypto_scalarmult(ephemeral, recipient))
    except SodiumError:
        raise InvalidPoint("recipient", "X25519 key of small order") from None
    key = _key(shared, single_use, recipient, context)
    return single_use + bytes(
        sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, context, _NONCE, key)
    )


def unseal(sealed: bytes, private_key: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made for this key and context. Raises DecryptionFailed."""
    if len(sealed) < OVERHEAD:
        raise DecryptionFailed("too short")
    single_use, ciphertext = sealed[:KEY_SIZE], sealed[KEY_SIZE:]
    try:
        shared = bytes(sodium.crypto_scalarmult(private_key, single_use))
        key = _key(shared, single_use, public_key(private_key), context)
        return bytes(sodium.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, context, _NONCE, key))
    except (CryptoError, SodiumError):
        raise DecryptionFailed("wrong key, wrong context or altered bytes") from None


def _key(shared: bytes, single_use: bytes, recipient: bytes, context: bytes) -> bytes:
    info = encode_fields("quorate/seal/v1", single_use, recipient, context)
    return hkdf_sha256(shared, b"", info, KEY_SIZE)
