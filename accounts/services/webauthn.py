"""What browsers send for passkeys, read and checked."""

import base64
from typing import cast

from django.conf import settings
from fido2.cose import ES256 as Es256Key
from fido2.cose import CoseKey
from fido2.cose import EdDSA as EdDsaKey
from fido2.server import Fido2Server
from fido2.webauthn import PublicKeyCredentialRpEntity, RegistrationResponse

from accounts.errors import invalid
from wire.canonical import CanonicalError, Json, parse_json
from wire.credential import EDDSA, ES256, Credential
from wire.fields import WireError

ALGORITHMS = (-7, -8)
_MAX_TEXT = 16_384


def site() -> tuple[str, tuple[str, ...]]:
    """rp_id and exact origins of this site (settings)."""
    return settings.WEBAUTHN_RP_ID, tuple(sorted(settings.WEBAUTHN_ORIGINS))


def encode(data: bytes) -> str:
    """Base64url without padding, as WebAuthn's JSON has bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: Json, field: str) -> bytes:
    """Raises AccountError that names the field."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise invalid(field, "must be base64url text")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise invalid(field, "must be base64url text") from None


def response(answer: Json, *names: str) -> tuple[bytes, ...]:
    """Credential id and the named parts of a PublicKeyCredential as JSON. Raises AccountError."""
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise invalid("credential", "must be the browser's answer")
    parts = (decode(answer["response"].get(name), f"credential.response.{name}") for name in names)
    return decode(answer.get("rawId"), "credential.rawId"), *parts


def challenge_in(client_data: bytes) -> bytes:
    """The challenge that the browser answered; what else is said there is judged later."""
    try:
        said = parse_json(client_data, max_bytes=_MAX_TEXT)
    except CanonicalError:
        said = None
    if not isinstance(said, dict):
        raise invalid("credential.response.clientDataJSON", "must be an object")
    return decode(said.get("challenge"), "credential.response.clientDataJSON.challenge")


def registered(answer: Json, challenge: bytes, label: str) -> Credential:
    """The new credential of a registration, checked against this site. Raises AccountError."""
    rp_id, origins = site()
    response(answer, "clientDataJSON", "attestationObject")
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=rp_id, name="Quorate"), verify_origin=lambda origin: origin in origins
    )
    state = {"challenge": encode(challenge), "user_verification": "required"}
    try:
        parsed = cast(RegistrationResponse, RegistrationResponse.from_dict(answer))
        data = server.register_complete(state, parsed).credential_data
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, IndexError) as error:
        # Its parsers raise whatever a malformed answer makes them raise.
        raise invalid("credential", f"the registration does not hold: {error}") from None
    if data is None or parsed.raw_id != data.credential_id:
        raise invalid("credential", "the registration has no key")
    if parsed.response.client_data.cross_origin:
        raise invalid("credential", "it was made inside another site's page")
    algorithm, public_key = _public_key(data.public_key)
    fields = {
        "id": data.credential_id.hex(),
        "algorithm": algorithm,
        "public_key": public_key.hex(),
        "rp_id": rp_id,
        "origins": list(origins),
        "user_verification": "required",
        "label": label,
    }
    try:
        return Credential.from_json(fields)
    except WireError as error:
        raise invalid(error.field.removeprefix("credential."), error.message) from None


def _public_key(key: CoseKey) -> tuple[str, bytes]:
    """As a card has it: ES256 compressed, or EdDSA on Ed25519."""
    if isinstance(key, Es256Key) and key.get(-1) == 1:
        x, y = key[-2], key[-3]
        if len(x) == len(y) == 32:
            return ES256, bytes([2 + y[-1] % 2]) + x
    if isinstance(key, EdDsaKey) and key.get(-1) == 6:
        return EDDSA, bytes(key[-2])
    raise invalid("credential", "only ES256 and EdDSA keys are taken")
