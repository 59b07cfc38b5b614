"""One-time codes (TOTP) as the second factor of a password."""

import time

import pyotp
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.encoding import force_bytes
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from accounts.errors import invalid
from accounts.models import OneTimeCodes
from accounts.services.record import record
from mpc.encoding import tagged_hash

_STEP_S = 30


def begin(*, user: User) -> str:
    """Make a secret that waits for its first code; the otpauth:// address for the person's app."""
    secret = pyotp.random_base32()
    with transaction.atomic():
        OneTimeCodes.objects.filter(user=user, confirmed_at=None).delete()
        if OneTimeCodes.objects.filter(user=user).exists():
            raise invalid("code", "one-time codes are set up already: remove them first")
        OneTimeCodes.objects.create(user=user, sealed=_box().encrypt(secret.encode()))
        record(user, "one_time_codes.begun")
    return pyotp.TOTP(secret).provisioning_uri(name=user.get_username(), issuer_name="Quorate")


def confirm(*, user: User, code: str) -> None:
    """The app works: codes count from now on. Raises AccountError."""
    row = OneTimeCodes.objects.filter(user=user, confirmed_at=None).first()
    if row is None or not _use(row, code):
        raise invalid("code", "is not the app's present code")
    with transaction.atomic():
        OneTimeCodes.objects.filter(pk=row.pk).update(confirmed_at=timezone.now())
        record(user, "one_time_codes.added")


def remove(*, user: User) -> None:
    with transaction.atomic():
        deleted, _ = OneTimeCodes.objects.filter(user=user).delete()
        if deleted:
            record(user, "one_time_codes.removed")


def check(*, user: User, code: str) -> bool:
    """Whether the code is the user's and unused; it is used up then."""
    row = OneTimeCodes.objects.filter(user=user, confirmed_at__isnull=False).first()
    return row is not None and _use(row, code)


def _use(row: OneTimeCodes, code: str) -> bool:
    try:
        totp = pyotp.TOTP(_box().decrypt(bytes(row.sealed)).decode())
    except CryptoError:
        return False  # sealed under a former SECRET_KEY: a recovery code helps
    now = int(time.time()) // _STEP_S
    for step in (now, now - 1, now + 1):
        if pyotp.utils.strings_equal(totp.at(step * _STEP_S), code):
            fresh = OneTimeCodes.objects.filter(pk=row.pk, last_step__lt=step)
            return fresh.update(last_step=step) == 1
    return False


def _box() -> SecretBox:
    return SecretBox(tagged_hash("quorate/one-time-codes/v1", force_bytes(settings.SECRET_KEY)))
