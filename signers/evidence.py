"""Pairs of signed messages that cannot both be honest, kept for ever for people to show (R22)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from signers.database import Database
from wire.envelope import Envelope

# EQUIVOCATION: two messages of one sender for one slot. SPLIT_VIEW: messages of two participants who were
# shown different things. FAULT: the second one breaks the protocol by itself; only kept here. SEEN: one
# message as this node was shown it, twice; whoever was shown another in its slot has the other half.
EQUIVOCATION, SPLIT_VIEW, FAULT, SEEN = "equivocation", "split_view", "fault", "seen"
_COLUMNS = "session_id, kind, round, sender, first, second"


@dataclass(frozen=True)
class EvidencePair:
    """Two encoded envelopes with valid signatures.

    session_id: hex, of the ceremony in which they were seen; sender: index of the second one's author.
    """

    session_id: str
    kind: str
    round: int
    sender: int
    first: bytes = field(repr=False)
    second: bytes = field(repr=False)


class Evidence:
    """The evidence of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, session_id: str, kind: str, first: Envelope, second: Envelope) -> None:
        """One pair for each kind, round and sender of a ceremony: more would prove no more."""
        self._database.execute(
            f"""INSERT INTO evidence ({_COLUMNS}, delivered) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING""",  # noqa: S608
            (
                session_id,
                kind,
                second.round,
                second.sender,
                first.encode(),
                second.encode(),
                int(kind == FAULT),
            ),
        )

    def all(self) -> list[EvidencePair]:
        return self._where("1 = ?", 1)

    def of_session(self, session_id: str) -> list[EvidencePair]:
        return self._where("session_id = ?", session_id)

    def undelivered(self) -> list[EvidencePair]:
        return self._where("delivered = ?", 0)

    def mark_delivered(self, pairs: Iterable[EvidencePair]) -> None:
        for each in pairs:
            self._database.execute(
                """UPDATE evidence SET delivered = 1
                WHERE session_id = ? AND kind = ? AND round = ? AND sender = ?""",
                (each.session_id, each.kind, each.round, each.sender),
            )

    def _where(self, condition: str, value: str | int) -> list[EvidencePair]:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM evidence WHERE {condition} ORDER BY session_id, round, sender, kind",  # noqa: S608
            (value,),
        )
        return [
            EvidencePair(session_id, kind, round, sender, bytes(first), bytes(second))
            for session_id, kind, round, sender, first, second in rows
        ]
