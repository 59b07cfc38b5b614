"""How people prove who they are: passkeys, one-time codes, and what guessing costs.

Changed by accounts.services only. Users are Django's; what they may do follows from vaults.Member.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Passkey(models.Model):
    """A registered passkey. credential: as wire.credential has it and it goes onto a holder's card."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys")
    credential_id = models.CharField(max_length=510, unique=True)  # lower-case hex
    credential = models.JSONField()
    # The authenticator's counter; one that falls is an alarm and no more (R9).
    counter = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.credential_id[:16]


class OneTimeCodes(models.Model):
    """A user's TOTP secret, sealed. last_step: the newest time step whose code was used: none works twice."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="one_time_codes"
    )
    sealed = models.BinaryField()
    last_step = models.PositiveBigIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"codes of {self.user_id}"


class PendingChallenge(models.Model):
    """A WebAuthn challenge that was given out and is good for one answer."""

    challenge = models.CharField(max_length=64, unique=True)  # hex
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )  # null: a login, before anybody is known
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.challenge[:16]


class LoginTries(models.Model):
    """Tries to log in under one name or from one address since `began_at`; taken before each is judged, so
    that many at once gain nothing."""

    subject = models.CharField(max_length=200, unique=True)
    tries = models.PositiveIntegerField(default=1)
    began_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.subject


class RecoveryCode(models.Model):
    """A one-time code from the shell that opens an account without keys; only its hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    code_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["user", "used_at"], name="recovery_code_by_user")]

    def __str__(self) -> str:
        return f"recovery of {self.user_id}"
