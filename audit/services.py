"""Appending to the audit log, and checking that nobody changed it."""

import time
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from audit.models import AuditRow
from mpc.encoding import tagged_hash
from wire.canonical import canonical_bytes

GENESIS = "00" * 32
_TAG = "quorate/audit/v1"
# Of k writers at once one gets the next number each time, so the last of them needs k tries.
_MAX_TRIES = 200
_MAX_NAME = 120


def record(
    *, actor: str, act: str, subject: str, detail: Mapping[str, Any], organisation_id: str = ""
) -> AuditRow:
    """Append an act to the chain, in the caller's transaction: if this fails, the act fails.

    Call it last: from here to the commit every other writer of the chain waits. detail: JSON without secrets.
    """
    text = canonical_bytes(detail).decode()
    for _ in range(_MAX_TRIES):
        head = AuditRow.objects.order_by("-sequence").first()
        row = AuditRow(
            sequence=head.sequence + 1 if head else 1,
            time=time.time_ns() // 1_000_000,
            organisation_id=organisation_id,
            actor=actor[:_MAX_NAME],
            act=act,
            subject=subject[:_MAX_NAME],
            detail=text,
            previous_hash=head.hash if head else GENESIS,
        )
        row.hash = row_hash(row)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:  # somebody else took the number; the constraint decides
            continue
        return row
    raise RuntimeError("the audit log is too busy: no free place in the chain")


def row_hash(row: AuditRow) -> str:
    """Hash of a row and its predecessor's hash, hex."""
    fields = {
        "sequence": row.sequence,
        "time": row.time,
        "organisation_id": row.organisation_id,
        "actor": row.actor,
        "act": row.act,
        "subject": row.subject,
        "detail": row.detail,
    }
    return tagged_hash(_TAG, bytes.fromhex(row.previous_hash), canonical_bytes(fields)).hex()


def verify() -> int | None:
    """The sequence of the first row that does not fit the chain, or None if all fit.

    A chain whose end was cut off fits as well: compare its head with one noted elsewhere (`head`).
    """
    expected, previous = 1, GENESIS
    for row in AuditRow.objects.order_by("sequence").iterator(chunk_size=1000):
        if row.sequence != expected:
            return expected
        if row.previous_hash != previous or row.hash != row_hash(row):
            return row.sequence
        expected, previous = expected + 1, row.hash
    return None


def head() -> tuple[int, str]:
    """Sequence and hash of the last row; (0, GENESIS) of an empty log."""
    row = AuditRow.objects.order_by("-sequence").first()
    return (row.sequence, row.hash) if row else (0, GENESIS)
