"""Who somebody is: a passkey, or a password and a one-time code."""

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction

from accounts.errors import AccountError
from accounts.models import Passkey
from accounts.services import challenges, lockout, one_time_codes, passkeys, webauthn
from accounts.services.record import denied, record
from audit import rationing
from wire.assertion import PasskeyError, verify_assertion
from wire.canonical import Json
from wire.credential import Credential

_WRONG = "user name, password or code is not right; without a code app, use a passkey or a recovery code"
_TIMEOUT_MS = 300_000


def with_password(*, username: str, password: str, code: str, address: str) -> User:
    """Raises AccountError 403, or 429 while locked; which of the three was wrong nobody is told."""
    if "\x00" in username:  # nobody's, and no text for the database
        raise AccountError(403, _WRONG)
    lockout.take_try(username=username, address=address)
    user = authenticate(username=username, password=password)
    if not isinstance(user, User) or not one_time_codes.check(user=user, code=code):
        if rationing.due(("login", username)):
            denied(f"name:{username[:100]}", "wrong password or code")
        raise AccountError(403, _WRONG)
    lockout.give_back(username=username, address=address)
    record(user, "login.password", address=address)
    return user


def request_options() -> dict[str, Any]:
    """What navigator.credentials.get gets for a login: whichever passkey of this site the person chooses."""
    rp_id, _ = webauthn.site()
    return {
        "publicKey": {
            "challenge": webauthn.encode(challenges.give(None)),
            "rpId": rp_id,
            "allowCredentials": [],
            "userVerification": "required",
            "timeout": _TIMEOUT_MS,
        }
    }


def with_passkey(*, answer: Json, address: str) -> Passkey:
    """The passkey that logged in, with its user. Raises AccountError 400, 403, or 429 while locked."""
    lockout.take_try(username=None, address=address)
    credential_id, client_data, authenticator_data, signature = webauthn.response(
        answer, "clientDataJSON", "authenticatorData", "signature"
    )
    challenge = webauthn.challenge_in(client_data)
    challenges.use_up(challenge, None)
    rows = Passkey.objects.select_related("user").filter(credential_id=credential_id.hex())
    passkey = rows.filter(user__is_active=True).first()
    try:
        if passkey is None:
            raise PasskeyError("unknown_credential", "no account has this passkey")
        counter = verify_assertion(
            Credential.from_json(passkey.credential),
            challenge=challenge,
            authenticator_data=authenticator_data,
            client_data=client_data,
            signature=signature,
        )
    except PasskeyError as error:
        if rationing.due(("login", error.code, address)):
            denied(f"passkey:{credential_id.hex()[:32]}", error.code)
        raise AccountError(403, f"the passkey was not taken: {error.message}") from None
    lockout.give_back(username=None, address=address)
    with transaction.atomic():
        passkeys.used(passkey, counter)
        record(passkey.user, "login.passkey", address=address, credential_id=passkey.credential_id)
    return passkey
