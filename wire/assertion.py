"""What an authenticator signs, checked strictly and in one place: logins and votes."""

import base64
from hashlib import sha256

from wire.canonical import CanonicalError, parse_json
from wire.credential import Credential

MAX_CLIENT_DATA, MAX_AUTHENTICATOR_DATA, MAX_SIGNATURE = 2048, 1024, 128
# Authenticator data: SHA-256 of the rp_id, flags, u32 counter; then extensions, if the flags say so.
_FIXED_SIZE = 37
_PRESENT, _VERIFIED, _ATTESTED, _EXTENDED = 0x01, 0x04, 0x40, 0x80


class PasskeyError(ValueError):
    """A passkey signature that does not count; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def verify_assertion(
    credential: Credential,
    *,
    challenge: bytes,
    authenticator_data: bytes,
    client_data: bytes,
    signature: bytes,
) -> int:
    """Check that the credential's user signed exactly this challenge; the authenticator's counter.

    Raises PasskeyError: bad_client_data, wrong_type, wrong_challenge, wrong_origin, cross_origin,
    bad_authenticator_data, wrong_rp_id, user_not_present, user_not_verified, forged_passkey.
    """
    _check_client_data(credential, challenge, client_data)
    counter = _check_authenticator_data(credential, authenticator_data)
    if not credential.verify(authenticator_data + sha256(client_data).digest(), signature):
        raise PasskeyError("forged_passkey", "the signature is not the passkey's")
    return counter


def _check_client_data(credential: Credential, challenge: bytes, data: bytes) -> None:
    try:
        said = parse_json(data, max_bytes=MAX_CLIENT_DATA)
    except CanonicalError as error:
        raise PasskeyError("bad_client_data", str(error)) from None
    if not isinstance(said, dict):
        raise PasskeyError("bad_client_data", "the client data is no object")
    if said.get("type") != "webauthn.get":
        raise PasskeyError("wrong_type", "it is no assertion")
    if said.get("challenge") != base64.urlsafe_b64encode(challenge).rstrip(b"=").decode():
        raise PasskeyError("wrong_challenge", "the passkey signed something else than this")
    if said.get("origin") not in credential.origins:
        raise PasskeyError("wrong_origin", "it was given on another site than those of the credential")
    if said.get("crossOrigin", False) is not False:
        raise PasskeyError("cross_origin", "it was given inside another site's page")


def _check_authenticator_data(credential: Credential, data: bytes) -> int:
    flags = data[32] if len(data) >= _FIXED_SIZE else _ATTESTED
    # A key has no place in an assertion, and nothing follows that the flags do not announce.
    if flags & _ATTESTED or (len(data) > _FIXED_SIZE) != bool(flags & _EXTENDED):
        raise PasskeyError("bad_authenticator_data", "the authenticator data is no assertion's")
    if data[:32] != sha256(credential.rp_id.encode()).digest():
        raise PasskeyError("wrong_rp_id", "it was given for another site")
    if not flags & _PRESENT:
        raise PasskeyError("user_not_present", "nobody touched the authenticator")
    if not flags & _VERIFIED:
        raise PasskeyError("user_not_verified", "the authenticator did not check who its user is")
    return int.from_bytes(data[33:_FIXED_SIZE], "big")
