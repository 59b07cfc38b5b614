"""WebAuthn challenges: random, short-lived, each good for one answer."""

import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from accounts.errors import AccountError
from accounts.models import PendingChallenge

LIFETIME = timedelta(minutes=5)


def give(user: User | None) -> bytes:
    """A new challenge, 32 bytes. user: who may answer it; None for a login."""
    now, challenge = timezone.now(), secrets.token_bytes(32)
    PendingChallenge.objects.filter(expires_at__lte=now).delete()
    PendingChallenge.objects.create(challenge=challenge.hex(), user=user, expires_at=now + LIFETIME)
    return challenge


def use_up(challenge: bytes, user: User | None) -> None:
    """Take the challenge back. Raises AccountError where it was not given out, is used or is too old."""
    pending = PendingChallenge.objects.filter(
        challenge=challenge.hex(), user=user, expires_at__gt=timezone.now()
    )
    # Of two answers at once one deletes it.
    deleted, _ = pending.delete()
    if deleted != 1:
        raise AccountError(400, "this page is too old: load it again", "challenge")
