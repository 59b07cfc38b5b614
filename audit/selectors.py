"""Reading the audit log, a page at a time however long it is."""

from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import Any

from django.db.models import Max, QuerySet

from audit.chain import GENESIS, BrokenChain, Entry, content_digest, walk
from audit.models import AuditCheckpoint, AuditRow, CheckpointWitness
from wire.checkpoint import MAX_LINKS, SEEN, Checkpoint
from wire.fields import WireError

_PAGE = 2000
_FIELDS = tuple(Entry.__dataclass_fields__)


def entry_of(row: AuditRow) -> Entry:
    """The row as the chain sees it."""
    return Entry(*(getattr(row, name) for name in _FIELDS))


def entries(after: int = -1) -> Iterator[Entry]:
    """Every row behind `after`, by sequence."""
    # Page by page and not by a cursor: one statement over millions of rows would meet its time limit.
    while page := list(
        AuditRow.objects.filter(sequence__gt=after).order_by("sequence").values_list(*_FIELDS)[:_PAGE]
    ):
        for fields in page:
            yield Entry(*fields)
        after = page[-1][0]


def head() -> tuple[int, str]:
    """Sequence and hash of the last row; (0, GENESIS) of an empty log."""
    row = AuditRow.objects.order_by("-sequence").first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def checked(extra: Iterable[Checkpoint] = (), *, keys: Collection[bytes] = ()) -> tuple[int, str]:
    """Check the chain against every stored checkpoint, every countersigned one, and `extra`; its last row.

    keys: those that may have signed, 32 bytes each; none: any. Raises BrokenChain.
    """
    # Up to the newest that there is now: a later one may cover rows that are written while the walk reads.
    tables = (AuditCheckpoint.objects.all(), CheckpointWitness.objects.filter(verdict=SEEN))
    newest = max(rows.aggregate(n=Max("sequence"))["n"] or 0 for rows in tables)
    stored = (_checkpoints(rows.filter(sequence__lte=newest).order_by("sequence"), keys) for rows in tables)
    by_sequence = attrgetter("sequence")
    return walk(entries(), merge(*stored, sorted(extra, key=by_sequence), key=by_sequence))


def verify() -> int | None:
    """The sequence of the first row that does not fit the chain and its checkpoints, or None if all fit."""
    try:
        checked()
    except BrokenChain as broken:
        return broken.sequence
    return None


def newest_checkpoint() -> Checkpoint | None:
    """The one that covers most rows."""
    row = AuditCheckpoint.objects.order_by("-sequence").first()
    return Checkpoint.from_json(row.signed) if row else None


def extension(seen: int) -> tuple[Checkpoint, list[bytes]] | None:
    """What somebody who has the checkpoint of row `seen` is shown next, with the digests between the two.

    seen: 0 for a node that has none. At most MAX_LINKS rows on, so who is far behind walks. None when
    there is no checkpoint.
    """
    newest = newest_checkpoint()
    if newest is None or not seen or newest.sequence <= seen:
        return (newest, []) if newest else None
    row = (
        AuditCheckpoint.objects.filter(sequence__gt=seen, sequence__lte=seen + MAX_LINKS)
        .order_by("-sequence")
        .first()
    )
    # No checkpoint of ours is that near: `seen` is none of ours, or one was removed.
    target = Checkpoint.from_json(row.signed) if row else newest
    rows = AuditRow.objects.filter(sequence__gt=seen, sequence__lte=target.sequence).order_by("sequence")
    digests = [content_digest(Entry(*fields)) for fields in rows.values_list(*_FIELDS)[:MAX_LINKS]]
    return target, digests


def _checkpoints(rows: QuerySet[Any], keys: Collection[bytes]) -> Iterator[Checkpoint]:
    for sequence, signed in rows.values_list("sequence", "signed").iterator(chunk_size=_PAGE):
        try:
            checkpoint = Checkpoint.from_json(signed.get("checkpoint", signed))
        except WireError as error:
            raise BrokenChain(sequence, f"its stored checkpoint is not valid: {error}") from None
        if checkpoint.sequence != sequence or (keys and checkpoint.key not in keys):
            raise BrokenChain(sequence, "its stored checkpoint is of another row or signed by another key")
        yield checkpoint
