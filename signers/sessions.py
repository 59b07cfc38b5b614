"""Ceremonies that this node is in: sealed state, outgoing bytes and what it has received (R23)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from signers.database import Database, Row
from wire.envelope import Envelope

# RUNNING; FINISHED: holds the certificate; ABORTED: left it; CLOSED: the coordinator has said that it ended.
# The coordinator is asked about this many at once.
MAX_SESSIONS = 48
RUNNING, FINISHED, ABORTED, CLOSED = "running", "finished", "aborted", "closed"
_COLUMNS = (
    "session_id, digest, vault_id, attempt, state, round, sealed, started_at, code, message, compute_us"
)


@dataclass(frozen=True)
class SessionRecord:
    """One ceremony. session_id, digest: hex; round: whose messages it waits for; started_at: Unix
    milliseconds; sealed: the machine's state, empty when it is over; compute_us: time spent in the
    protocol."""

    session_id: str
    digest: str
    vault_id: str
    attempt: int
    state: str
    round: int
    sealed: bytes = field(repr=False)
    started_at: int
    code: str = ""
    message: str = ""
    compute_us: int = 0


@dataclass(frozen=True)
class OutgoingMessage:
    """An envelope to deliver and the slot that names it."""

    session_id: str
    type: int
    round: int
    recipient: int
    envelope: bytes = field(repr=False)


class Sessions:
    """The sessions of one node. Callers group writes in one database transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, record: SessionRecord) -> None:
        self._database.execute(
            f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                record.session_id,
                record.digest,
                record.vault_id,
                record.attempt,
                record.state,
                record.round,
                record.sealed,
                record.started_at,
                record.code,
                record.message,
                record.compute_us,
            ),
        )

    def get(self, session_id: str) -> SessionRecord | None:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM sessions WHERE session_id = ?", (session_id,))  # noqa: S608
        return _record(rows[0]) if rows else None

    def listed(self) -> list[SessionRecord]:
        """All that are not CLOSED: those the coordinator is asked about."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM sessions WHERE state <> ? ORDER BY started_at, session_id",  # noqa: S608
            (CLOSED,),
        )
        return [_record(row) for row in rows]

    def running_in_vault(self, vault_id: str) -> SessionRecord | None:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM sessions WHERE vault_id = ? AND state = ?",  # noqa: S608
            (vault_id, RUNNING),
        )
        return _record(rows[0]) if rows else None

    def advance(
        self, session_id: str, *, from_round: int, to_round: int, sealed: bytes, compute_us: int
    ) -> bool:
        """Move to the next round; False when somebody else did or the session is over."""
        changed = self._database.execute(
            """UPDATE sessions SET round = ?, sealed = ?, compute_us = compute_us + ?
            WHERE session_id = ? AND round = ? AND state = ?""",
            (to_round, sealed, compute_us, session_id, from_round, RUNNING),
        )
        return changed == 1

    def leave(self, session_id: str, state: str, code: str = "", message: str = "") -> bool:
        """End a running session; its secret state goes at once."""
        changed = self._database.execute(
            """UPDATE sessions SET state = ?, code = ?, message = ?, sealed = NULL
            WHERE session_id = ? AND state = ?""",
            (state, code, message, session_id, RUNNING),
        )
        return changed == 1

    def close(self, session_id: str, code: str = "", message: str = "") -> None:
        """The coordinator has ended it: nothing more is sent or asked. What the node itself noted first
        stays."""
        self.leave(session_id, CLOSED, code, message)
        self._database.execute("UPDATE sessions SET state = ? WHERE session_id = ?", (CLOSED, session_id))
        for table in ("outgoing", "incoming"):
            self._database.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))  # noqa: S608

    def ask_again(self) -> None:
        """List those again whose share set waits for its certificate, though somebody said that they
        ended."""
        self._database.execute(
            """UPDATE sessions SET state = ? WHERE state = ? AND session_id IN
            (SELECT session_id FROM share_sets WHERE state = 'activated')""",
            (ABORTED, CLOSED),
        )

    # messages

    def queue(self, session_id: str, envelope: Envelope) -> None:
        self._database.execute(
            "INSERT INTO outgoing (session_id, type, round, recipient, envelope) VALUES (?, ?, ?, ?, ?)",
            (session_id, envelope.type, envelope.round, envelope.recipient, envelope.encode()),
        )

    def withdraw(self, session_id: str) -> None:
        """Forget what has not been delivered."""
        self._database.execute("DELETE FROM outgoing WHERE session_id = ? AND delivered = 0", (session_id,))

    def undelivered(self) -> list[OutgoingMessage]:
        """Envelopes that the coordinator has not confirmed, the oldest round first."""
        rows = self._database.rows(
            """SELECT outgoing.session_id, type, outgoing.round, recipient, envelope FROM outgoing
            JOIN sessions ON sessions.session_id = outgoing.session_id
            WHERE delivered = 0 AND sessions.state <> ?
            ORDER BY outgoing.session_id, outgoing.round, type, recipient""",
            (CLOSED,),
        )
        return [OutgoingMessage(row[0], row[1], row[2], row[3], bytes(row[4])) for row in rows]

    def mark_delivered(self, messages: Iterable[OutgoingMessage]) -> None:
        for message in messages:
            self._database.execute(
                """UPDATE outgoing SET delivered = 1
                WHERE session_id = ? AND type = ? AND round = ? AND recipient = ?""",
                (message.session_id, message.type, message.round, message.recipient),
            )

    def keep_incoming(self, session_id: str, envelopes: Iterable[Envelope]) -> None:
        """What was processed, so that a second different message in a slot is evidence (R22)."""
        for envelope in envelopes:
            self._database.execute(
                "INSERT INTO incoming (session_id, round, sender, envelope) VALUES (?, ?, ?, ?)",
                (session_id, envelope.round, envelope.sender, envelope.encode()),
            )

    def incoming(self, session_id: str, round: int, sender: int) -> bytes | None:
        rows = self._database.rows(
            "SELECT envelope FROM incoming WHERE session_id = ? AND round = ? AND sender = ?",
            (session_id, round, sender),
        )
        return bytes(rows[0][0]) if rows else None

    def keep_evidence(self, session_id: str, first: Envelope, second: Envelope) -> None:
        """Two different messages of one slot, both with their sender's valid signature."""
        self._database.execute(
            """INSERT INTO evidence (session_id, round, sender, first, second) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (session_id, round, sender) DO NOTHING""",
            (session_id, first.round, first.sender, first.encode(), second.encode()),
        )

    def evidence(self, session_id: str) -> list[tuple[bytes, bytes]]:
        rows = self._database.rows("SELECT first, second FROM evidence WHERE session_id = ?", (session_id,))
        return [(bytes(first), bytes(second)) for first, second in rows]


def _record(row: Row) -> SessionRecord:
    session_id, digest, vault_id, attempt, state, round, sealed, started_at, code, message, compute_us = row
    return SessionRecord(
        session_id,
        digest,
        vault_id,
        attempt,
        state,
        round,
        bytes(sealed or b""),
        started_at,
        code,
        message,
        compute_us,
    )
