"""Appending to the audit log, and signing checkpoints of it."""

import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from nacl.signing import SigningKey

from audit.chain import GENESIS, Entry, entry_hash, walk
from audit.models import AuditCheckpoint, AuditRow, CheckpointWitness
from audit.selectors import entries, entry_of, head, newest_checkpoint, verify
from wire.canonical import canonical_bytes
from wire.checkpoint import MAX_LINKS, SEEN, Checkpoint, Witness

__all__ = [
    "checkpoint",
    "forget_old_words",
    "head",
    "probe",
    "record",
    "row_hash",
    "signing_key",
    "verify",
    "witnessed",
]

# Of k writers at once one gets the next number each time, so the last of them needs k tries.
_MAX_TRIES = 200
_MAX_NAME = 120
_WORDS_KEPT = timedelta(days=1)
MAX_ALARMS = 100


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


def probe() -> None:
    """Write a row and take it back: raises DatabaseError where an act could not be recorded now.

    Its number is none of the chain's, so no writer waits for it.
    """
    nothing = Entry(0, 0, "", "system:probe", "probe", "", "{}", GENESIS, "")
    with transaction.atomic():
        AuditRow(**(vars(nothing) | {"hash": entry_hash(nothing)})).save(force_insert=True)
        transaction.set_rollback(True)


def checkpoint() -> Checkpoint | None:
    """Sign the log's last row with the site's response key, and one at least every MAX_LINKS rows before it.

    Returns the newest checkpoint, None of an empty log; makes one only where there are new rows. Raises
    BrokenChain: rows that do not follow the checkpoint before them are not signed.
    """
    newest = newest_checkpoint()
    at = (newest.sequence, newest.row_hash.hex()) if newest else (0, GENESIS)
    full = True
    while full and (rows := list(islice(entries(after=at[0]), MAX_LINKS))):
        at = walk(rows, start=at)
        newest = _sign(*at)
        full = len(rows) == MAX_LINKS
    return newest


def witnessed(witness: Witness) -> bool:
    """Keep a node's word, whose signature the caller has checked; False when it is known.

    An alarm is an act of its own; of one node, which may be lying, a number of them.
    """
    alarms = CheckpointWitness.objects.filter(node_id=witness.node_id).exclude(verdict=SEEN)
    if witness.verdict != SEEN and alarms.count() >= MAX_ALARMS:
        return False
    with transaction.atomic():
        _, made = CheckpointWitness.objects.get_or_create(
            node_id=witness.node_id,
            sequence=witness.checkpoint.sequence,
            verdict=witness.verdict,
            defaults={"signed": witness.to_json()},
        )
        if made and witness.verdict != SEEN:
            earlier = witness.earlier.sequence if witness.earlier else 0
            record(
                actor=f"node:{witness.node_id}",
                act="audit.alarm",
                subject=f"checkpoint:{witness.checkpoint.sequence}",
                detail={"verdict": witness.verdict, "earlier": earlier},
            )
    return made


def forget_old_words() -> None:
    """Delete countersignatures older than a day, but each node's newest, which covers all before it."""
    seen = CheckpointWitness.objects.filter(verdict=SEEN)
    newest = seen.filter(node_id=OuterRef("node_id")).order_by("-sequence").values("pk")[:1]
    old = seen.filter(received_at__lt=timezone.now() - _WORDS_KEPT)
    old.exclude(pk=Subquery(newest)).delete()


def signing_key() -> SigningKey:
    """The site's response key, which signs checkpoints too, under a tag of their own."""
    return SigningKey(settings.QUORATE["RESPONSE_SIGNING_KEY"])


def _sign(sequence: int, row_hash: str) -> Checkpoint:
    key = signing_key()
    signed = Checkpoint.sign(
        lambda message: key.sign(message).signature,
        sequence=sequence,
        row_hash=bytes.fromhex(row_hash),
        time=time.time_ns() // 1_000_000,
        key=bytes(key.verify_key),
    )
    # Two processes may do this at once: the first one's stands.
    row, _ = AuditCheckpoint.objects.get_or_create(sequence=sequence, defaults={"signed": signed.to_json()})
    return Checkpoint.from_json(row.signed)


def row_hash(row: AuditRow) -> str:
    """Hash of a row and its predecessor's hash, hex."""
    return entry_hash(entry_of(row))
