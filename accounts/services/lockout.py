"""Guessing has a price: a few tries a quarter of an hour for each name, more for each address."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts.errors import AccountError
from accounts.models import LoginTries
from accounts.services.record import denied
from audit import rationing

WINDOW = timedelta(minutes=15)
TRIES_BY_NAME, TRIES_BY_ADDRESS = 5, 30


def take_try(*, username: str | None, address: str) -> None:
    """Count a try before it is judged. Raises AccountError 429 while the name or the address is locked.

    username: None for a passkey, which cannot be guessed.
    """
    subjects = {f"address:{address}": TRIES_BY_ADDRESS}
    if username is not None:
        subjects[_name(username)] = TRIES_BY_NAME
    for subject, limit in subjects.items():
        if not _take(subject, limit):
            if rationing.due(("locked", subject)):
                denied(subject, "locked after repeated failures")
            minutes = int(WINDOW.total_seconds() // 60)
            raise AccountError(429, f"too many tries: wait up to {minutes} minutes, or use a passkey")


def give_back(*, username: str | None, address: str) -> None:
    """The try succeeded: the name is free again, the address has one try more."""
    with transaction.atomic():
        if username is not None:
            LoginTries.objects.filter(subject=_name(username)).delete()
        used = LoginTries.objects.filter(subject=f"address:{address}", tries__gt=0)
        used.update(tries=F("tries") - 1)


def _take(subject: str, limit: int) -> bool:
    now = timezone.now()
    row = LoginTries.objects.filter(subject=subject)
    # Each of these is one compare-and-swap; whoever loses one tries the next.
    if row.filter(began_at__lte=now - WINDOW).update(tries=1, began_at=now):
        return True
    if row.filter(tries__lt=limit).update(tries=F("tries") + 1):
        return True
    if row.exists():
        return False
    # Names that somebody made up must not fill the table.
    LoginTries.objects.filter(began_at__lte=now - WINDOW).delete()
    try:
        with transaction.atomic():
            LoginTries.objects.create(subject=subject, began_at=now)
    except IntegrityError:
        return bool(row.filter(tries__lt=limit).update(tries=F("tries") + 1))
    return True


def _name(username: str) -> str:
    return f"name:{username.casefold()[:150]}"
