"""A way in for who has no key yet or lost all: a one-time code, made by whoever runs the site."""

import secrets
from datetime import timedelta
from hashlib import sha256

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.errors import AccountError, invalid
from accounts.models import OneTimeCodes, Passkey, RecoveryCode
from accounts.services import lockout
from accounts.services.record import denied, record
from audit import rationing
from audit import services as audit
from vaults.actors import Actor

LIFETIME = timedelta(hours=1)


def make_code(*, actor: Actor, user: User) -> str:
    """A code for one use within the hour; the ones before do no more. It is returned once."""
    code = secrets.token_urlsafe(24)
    now = timezone.now()
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user, used_at=None).update(used_at=now)
        RecoveryCode.objects.create(user=user, code_hash=_hash(code), expires_at=now + LIFETIME)
        audit.record(actor=actor.label, act="recovery.begun", subject=f"user:{user.pk}", detail={})
    return code


def recover(*, code: str, password: str, address: str) -> User:
    """Set a new password, take away passkeys and one-time codes that may be in other hands, and let in.

    Raises AccountError.
    """
    lockout.take_try(username=None, address=address)
    rows = RecoveryCode.objects.select_related("user")
    row = rows.filter(code_hash=_hash(code), used_at=None, expires_at__gt=timezone.now()).first()
    if row is None or not row.user.is_active:
        if rationing.due(("recovery", address)):
            denied(f"address:{address}", "wrong recovery code")
        raise AccountError(403, "the recovery code is unknown, used or too old", "code")
    user = row.user
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise invalid("password", " ".join(error.messages)) from None
    lockout.give_back(username=None, address=address)
    with transaction.atomic():
        if RecoveryCode.objects.filter(pk=row.pk, used_at=None).update(used_at=timezone.now()) != 1:
            raise AccountError(403, "the recovery code is used", "code")
        user.set_password(password)
        user.save(update_fields=["password"])
        Passkey.objects.filter(user=user).delete()
        OneTimeCodes.objects.filter(user=user).delete()
        record(user, "recovery.done", address=address)
    return user


def _hash(code: str) -> str:
    # 192 random bits: a plain hash cannot be searched.
    return sha256(code.encode()).hexdigest()
