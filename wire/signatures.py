"""Ed25519 as every signed object uses it."""

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey


def verify_signature(verify_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is Ed25519 of `message` under `verify_key` (32 bytes).

    Strict, never raises.
    """
    if len(signature) != 64 or len(verify_key) != 32:
        return False
    try:
        VerifyKey(verify_key).verify(message, signature)
    except BadSignatureError:
        return False
    return True
