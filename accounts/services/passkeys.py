"""Passkeys of a person: registering, using, taking away."""

from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.errors import AccountError, invalid
from accounts.models import Passkey
from accounts.services import challenges, webauthn
from accounts.services.record import record
from mpc.encoding import tagged_hash
from wire.canonical import Json

MAX_PASSKEYS = 10
_TIMEOUT_MS = 300_000


def creation_options(*, user: User) -> dict[str, Any]:
    """What navigator.credentials.create gets, bytes in base64url."""
    rp_id, _ = webauthn.site()
    known = [webauthn.encode(bytes.fromhex(each.credential_id)) for each in user.passkeys.all()]
    return {
        "publicKey": {
            "challenge": webauthn.encode(challenges.give(user)),
            "rp": {"id": rp_id, "name": "Quorate"},
            "user": {
                "id": webauthn.encode(user_handle(user)),
                "name": user.get_username(),
                "displayName": user.get_username(),
            },
            "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in webauthn.ALGORITHMS],
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
            "excludeCredentials": [{"type": "public-key", "id": each} for each in known],
            "attestation": "none",
            "timeout": _TIMEOUT_MS,
        }
    }


def register(*, user: User, label: str, answer: Json) -> Passkey:
    """Keep a new passkey of the user. Raises AccountError."""
    if not label.strip():
        raise invalid("label", "say how you call this passkey")
    _, client_data = webauthn.response(answer, "clientDataJSON")
    challenge = webauthn.challenge_in(client_data)
    challenges.use_up(challenge, user)
    credential = webauthn.registered(answer, challenge, label.strip())
    if user.passkeys.count() >= MAX_PASSKEYS:
        raise AccountError(409, f"an account has at most {MAX_PASSKEYS} passkeys: remove one first")
    with transaction.atomic():
        try:
            with transaction.atomic():
                passkey = Passkey.objects.create(
                    user=user, credential_id=credential.id.hex(), credential=credential.to_json()
                )
        except IntegrityError:
            raise AccountError(409, "this passkey is registered already") from None
        record(user, "passkey.added", credential_id=passkey.credential_id, label=credential.label)
    return passkey


def remove(*, user: User, passkey_id: int) -> None:
    """Take a passkey away. On a holder's card it stays until the node's operator removes it there.

    Raises AccountError 404.
    """
    with transaction.atomic():
        passkey = Passkey.objects.filter(user=user, pk=passkey_id).first()
        if passkey is None:
            raise AccountError(404, "you have no such passkey")
        passkey.delete()
        record(user, "passkey.removed", credential_id=passkey.credential_id)


def used(passkey: Passkey, counter: int) -> None:
    """Note the counter of a signature that was good; one that falls is an alarm (R9).

    Part of the caller's transaction, after everything else that it changes.
    """
    newer = Passkey.objects.filter(pk=passkey.pk, counter__lt=counter)
    rose = newer.update(counter=counter, used_at=timezone.now())
    # An authenticator without a counter says 0 always; the same signature again has the same one.
    if not rose and counter < passkey.counter:
        record(
            passkey.user,
            "passkey.alarm",
            credential_id=passkey.credential_id,
            reason=f"its counter fell from {passkey.counter} to {counter}: there may be a copy of it",
        )
    elif not rose:
        Passkey.objects.filter(pk=passkey.pk).update(used_at=timezone.now())


def user_handle(user: User) -> bytes:
    """What an authenticator keeps to tell accounts apart; says nothing about the person."""
    return tagged_hash("quorate/user-handle/v1", str(user.pk).encode())
