"""Audit rows about people's accounts."""

from typing import Any

from django.contrib.auth.models import User

from audit import services as audit


def record(user: User, act: str, **detail: Any) -> None:
    """Append what the user did or what happened to the account; call it last in the transaction."""
    audit.record(actor=f"user:{user.pk}", act=act, subject=f"user:{user.pk}", detail=detail)


def denied(subject: str, why: str) -> None:
    """Append a login that was refused; subject: what was tried, never a secret."""
    audit.record(actor="anonymous", act="login.denied", subject=subject, detail={"reason": why})
