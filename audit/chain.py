"""The chain itself: what a row's hash is made of, and a walk along rows that says where it first breaks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes
from wire.checkpoint import Checkpoint, link_hash
from wire.fields import Fields

GENESIS = "00" * 32
_CONTENT_TAG = "quorate/audit-row/v1"


@dataclass(frozen=True)
class Entry:
    """A row of the log, wherever it was read from. Hashes are hex; time in Unix milliseconds."""

    sequence: int
    time: int
    organisation_id: str
    actor: str
    act: str
    subject: str
    detail: str
    previous_hash: str
    hash: str

    @classmethod
    def from_json(cls, value: Json, path: str) -> "Entry":
        """Parse a line of an export. Raises WireError."""
        fields = Fields(value, path)
        texts = {name: fields.text(name, max_length=1 << 20, empty=True) for name in _TEXTS}
        entry = cls(
            sequence=fields.integer("sequence"),
            time=fields.integer("time"),
            previous_hash=fields.hex("previous_hash", 32).hex(),
            hash=fields.hex("hash", 32).hex(),
            **texts,
        )
        fields.end()
        return entry


_TEXTS = ("organisation_id", "actor", "act", "subject", "detail")


class BrokenChain(Exception):
    """The log is not what it was: `sequence` is the first row at fault."""

    def __init__(self, sequence: int, message: str) -> None:
        super().__init__(f"row {sequence}: {message}")
        self.sequence = sequence


def content_digest(entry: Entry) -> bytes:
    """The digest of what a row says, 32 bytes: all that nodes are shown of it. Raises CanonicalError."""
    said = {name: getattr(entry, name) for name in ("sequence", "time", *_TEXTS)}
    return tagged_hash(_CONTENT_TAG, canonical_bytes(said))


def entry_hash(entry: Entry) -> str:
    """What the row's hash has to be, hex. Raises CanonicalError."""
    return link_hash(bytes.fromhex(entry.previous_hash), content_digest(entry)).hex()


def walk(
    entries: Iterable[Entry], checkpoints: Iterable[Checkpoint] = (), *, start: tuple[int, str] = (0, GENESIS)
) -> tuple[int, str]:
    """Check every row behind `start` and every checkpoint; sequence and hash of the last row.

    entries: as they are stored; checkpoints: by sequence; start: sequence and hash (hex) of a row known
    to be good. Holds one of each at a time. Raises BrokenChain.
    """
    expected, previous = start[0] + 1, start[1]
    waiting: Iterator[Checkpoint] = iter(checkpoints)
    checkpoint = next(waiting, None)
    for entry in entries:
        _check(entry, expected, previous)
        while checkpoint is not None and checkpoint.sequence == entry.sequence:
            if checkpoint.row_hash.hex() != entry.hash:
                raise BrokenChain(
                    entry.sequence, "a signed checkpoint has another hash: the log was rewritten up to here"
                )
            checkpoint = next(waiting, None)
        expected, previous = expected + 1, entry.hash
    if checkpoint is not None:
        raise BrokenChain(
            expected,
            f"missing: the log was cut off here, a signed checkpoint covers row {checkpoint.sequence}",
        )
    return expected - 1, previous


def _check(entry: Entry, expected: int, previous: str) -> None:
    if entry.sequence > expected:
        raise BrokenChain(expected, "missing: it was removed")
    if entry.sequence < expected:
        raise BrokenChain(entry.sequence, "stands twice, or behind a later one: it was inserted or moved")
    if entry.previous_hash != previous:
        raise BrokenChain(entry.sequence, "does not follow the row before it: one of the two was replaced")
    try:
        right = entry_hash(entry)
    except ValueError as error:
        raise BrokenChain(entry.sequence, f"has no hash: {error}") from None
    if entry.hash != right:
        raise BrokenChain(entry.sequence, "its content was changed")
