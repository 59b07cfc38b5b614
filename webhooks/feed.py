"""Reading the outbox in order, so that a reader who remembers one number misses nothing.

Sequence numbers are given out before their transactions commit, so a lower one can become visible after a
higher one. A reader may therefore pass a number only when nobody can commit a lower one any more. Who could
is known exactly: a transaction takes the table's RowExclusiveLock before it draws a number, and keeps it
until after its commit is visible. So: read the newest number, then who holds that lock. When all of those
have ended, everything up to that number is visible or will never be. (The snapshot's xmin would say almost
the same, but a number is drawn a moment before its transaction has an id, and long transactions that never
write here would hold readers up.)

SQLite has one writer at a time, who draws its numbers after it has the lock: there the newest is final.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from django.db.models import Max, Q

from webhooks.models import OutboxEvent

# How many numbers, of all organisations, one read passes at most: its cost does not grow with the table.
_WINDOW = 5000
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = %s::regclass
"""


class Horizon:
    """Up to which number the outbox is final; `waiting`: newer ones wait for transactions that still run."""

    def __init__(self) -> None:
        self.settled = 0
        self._pending: tuple[int, frozenset[str]] | None = None

    @property
    def waiting(self) -> bool:
        return self._pending is not None

    def advance(self) -> int:
        """Look again; the number, which never falls."""
        newest = newest_sequence()
        # After the newest was read, never before.
        writers = _writers()
        if self._pending is not None and not self._pending[1] & writers:
            self.settled, self._pending = self._pending[0], None
        if newest > self.settled:
            if not writers:
                self.settled, self._pending = newest, None
            elif self._pending is None:
                self._pending = (newest, writers)
        return self.settled


@dataclass(frozen=True)
class Batch:
    """Events in order; reached: the number up to which there are no others that match."""

    events: list[OutboxEvent]
    reached: int


def newest_sequence() -> int:
    """The highest number that can be seen, 0 where there is none."""
    return OutboxEvent.objects.aggregate(newest=Max("sequence"))["newest"] or 0


def read(*, organisation_id: str, after: int, until: int, types: Collection[str], limit: int) -> Batch:
    """What is final after `after`: one batch, and how far it got.

    until: a settled number; types: names, or "family.*"; none means all.
    """
    end = min(until, after + _WINDOW)
    rows = OutboxEvent.objects.filter(sequence__gt=after, sequence__lte=end, organisation_id=organisation_id)
    if types:
        wanted = Q()
        for type in types:
            wanted |= Q(type__startswith=type[:-1]) if type.endswith(".*") else Q(type=type)
        rows = rows.filter(wanted)
    events = list(rows.order_by("sequence")[:limit])
    return Batch(events, events[-1].sequence if len(events) == limit else max(end, after))


def _writers() -> frozenset[str]:
    """The transactions that may have drawn numbers."""
    if connection.vendor != "postgresql":
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS, [OutboxEvent._meta.db_table])
        return frozenset(row[0] for row in cursor.fetchall())
