"""The node watches the coordinator's audit log: a log that was cut, forked or put back is found out here.

It keeps the newest checkpoint that it countersigned and takes a later one only with the digests of all the
rows between. The very first one it takes as it is. An alarm changes nothing of what the node signs: it is for
people.
"""

from collections.abc import Callable
from dataclasses import dataclass

from signers.database import Database
from wire.canonical import canonical_bytes, parse_json
from wire.checkpoint import MAX_LINKS, SEEN, Checkpoint, Witness, judge
from wire.fields import Fields

# Countersigned checkpoints that are kept: a day, at one a minute. The newest covers all rows before it.
MAX_KEPT = 1440
_MAX_WORDS = 16
ALARMS = {
    "audit_fork": "its audit log does not continue the one that this node has countersigned",
    "audit_went_back": "its audit log is shorter than the one that this node has countersigned",
    "audit_other_key": "the checkpoint of its audit log is signed by another key than those before",
}


@dataclass(frozen=True)
class ShownCheckpoint:
    """A checkpoint and the digests of the rows since the one that the node has, 32 bytes each."""

    checkpoint: Checkpoint
    digests: tuple[bytes, ...]

    @classmethod
    def read(cls, fields: Fields) -> "ShownCheckpoint":
        """Raises WireError."""
        checkpoint = Checkpoint.from_json(fields.take("checkpoint"), fields.path("checkpoint"))
        return cls(checkpoint, fields.hexes("digests", 32, max_length=MAX_LINKS))


class AuditWords:
    """What this node signed about the audit log, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> Witness | None:
        """The countersignature of the newest checkpoint seen."""
        rows = self._database.rows(
            "SELECT word FROM audit_words WHERE verdict = ? ORDER BY sequence DESC LIMIT 1", (SEEN,)
        )
        return _parse(rows[0][0]) if rows else None

    def alarms(self) -> list[Witness]:
        """One for each way in which the log contradicted itself since `forget`, the first."""
        rows = self._database.rows(
            "SELECT word FROM audit_words WHERE verdict <> ? ORDER BY verdict", (SEEN,)
        )
        return [_parse(word) for (word,) in rows]

    def add(self, word: Witness) -> None:
        """Keep a word; of old countersignatures MAX_KEPT stay."""
        self._database.execute(
            "INSERT INTO audit_words (verdict, sequence, word) VALUES (?, ?, ?)",
            (word.verdict, word.checkpoint.sequence, canonical_bytes(word.to_json()).decode()),
        )
        self._database.execute(
            """DELETE FROM audit_words WHERE verdict = ? AND sequence NOT IN
            (SELECT sequence FROM audit_words WHERE verdict = ? ORDER BY sequence DESC LIMIT ?)""",
            (SEEN, SEEN, MAX_KEPT),
        )

    def undelivered(self) -> list[Witness]:
        """What the coordinator has not confirmed, the oldest first, as much as a call may carry."""
        rows = self._database.rows(
            "SELECT word FROM audit_words WHERE delivered = 0 ORDER BY sequence LIMIT ?", (_MAX_WORDS,)
        )
        return [_parse(word) for (word,) in rows]

    def mark_sent(self, words: list[Witness]) -> None:
        """The coordinator has these or refused them; they are about itself, so it is not asked twice."""
        for word in words:
            self._database.execute(
                "UPDATE audit_words SET delivered = 1 WHERE verdict = ? AND sequence = ?",
                (word.verdict, word.checkpoint.sequence),
            )

    def forget(self) -> None:
        """Begin anew with whatever checkpoint is shown next: the operator knows why the log went back."""
        self._database.execute("DELETE FROM audit_words")


def consider(
    words: AuditWords, shown: ShownCheckpoint, *, node_id: str, sign: Callable[[bytes], bytes], time: int
) -> Witness | None:
    """Judge a checkpoint and keep the signed word about it; None where there is nothing new to say.

    time: Unix milliseconds.
    """
    newest = words.newest()
    seen = newest.checkpoint if newest else None
    if seen == shown.checkpoint:
        return None
    verdict = judge(seen, shown.checkpoint, shown.digests) if seen else SEEN
    if seen and verdict == SEEN and seen.sequence == shown.checkpoint.sequence:
        return None  # the same rows, signed once more
    if any(alarm.verdict == verdict for alarm in words.alarms()):
        return None
    word = Witness.sign(
        sign,
        verdict=verdict,
        checkpoint=shown.checkpoint,
        earlier=None if verdict == SEEN else seen,
        node_id=node_id,
        time=time,
    )
    words.add(word)
    return word


def _parse(text: str) -> Witness:
    return Witness.from_json(parse_json(text.encode()))
