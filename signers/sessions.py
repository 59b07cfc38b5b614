"""Ceremonies that this node is in: sealed state, outgoing bytes and what it has received (R23)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from signers.database import Database, Row
from wire.envelope import ROUND_MESSAGE, Envelope

# The coordinator is asked about this many at once.
MAX_SESSIONS = 48
# RUNNING; WAITING: out of time, but what the node signed may still become the final certificate; FINISHED:
# holds the certificate; ABORTED: left it; CLOSED: the coordinator has said that it ended.
RUNNING, WAITING, FINISHED, ABORTED, CLOSED = "running", "waiting", "finished", "aborted", "closed"
# Messages and certificates are taken in these.
GOES_ON = (RUNNING, WAITING)
_COLUMNS = (
    "session_id, digest, vault_id, attempt, dealers, state, round, sealed, started_at, code, message,"
    " compute_us"
)


@dataclass(frozen=True)
class SessionRecord:
    """One ceremony.

    session_id, digest: hex; dealers: node ids; round: whose messages it waits for; sealed: the machine's
    state, empty when it is over; started_at: Unix milliseconds; code, message: why it ended, or the last
    fault that it lives with; compute_us: time spent in the protocol.
    """

    session_id: str
    digest: str
    vault_id: str
    attempt: int
    dealers: tuple[str, ...]
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
            f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                record.session_id,
                record.digest,
                record.vault_id,
                record.attempt,
                " ".join(record.dealers),
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
        """All that are not CLOSED, the latest first: those the coordinator is asked about."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM sessions WHERE state <> ? ORDER BY started_at DESC, session_id",  # noqa: S608
            (CLOSED,),
        )
        return [_record(row) for row in rows]

    def going_on(self) -> list[SessionRecord]:
        """Those that take messages."""
        return [record for record in self.listed() if record.state in GOES_ON]

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
            WHERE session_id = ? AND round = ? AND state IN (?, ?)""",
            (to_round, sealed, compute_us, session_id, from_round, *GOES_ON),
        )
        return changed == 1

    def wait(self, session_id: str, code: str, message: str) -> bool:
        """Let another ceremony of the vault run (R24) while this one waits; its state is kept, it holds no
        secret any more."""
        changed = self._database.execute(
            "UPDATE sessions SET state = ?, code = ?, message = ? WHERE session_id = ? AND state = ?",
            (WAITING, code, message, session_id, RUNNING),
        )
        return changed == 1

    def note(self, session_id: str, code: str, message: str) -> bool:
        """Write down a fault that does not end the session; True when it is another than the last one."""
        changed = self._database.execute(
            "UPDATE sessions SET code = ?, message = ? WHERE session_id = ? AND code <> ?",
            (code, message, session_id, code),
        )
        return changed == 1

    def leave(self, session_id: str, state: str, code: str = "", message: str = "") -> bool:
        """End a session that goes on; its state, secrets included, goes at once."""
        changed = self._database.execute(
            """UPDATE sessions SET state = ?, code = ?, message = ?, sealed = NULL
            WHERE session_id = ? AND state IN (?, ?)""",
            (state, code, message, session_id, *GOES_ON),
        )
        return changed == 1

    def finish(self, session_id: str, round: int) -> bool:
        """The certificate is here; round: beyond the last, for no messages are wanted any more."""
        changed = self._database.execute(
            "UPDATE sessions SET round = ? WHERE session_id = ? AND state IN (?, ?)",
            (round, session_id, *GOES_ON),
        )
        return changed == 1 and self.leave(session_id, FINISHED)

    def close(self, session_id: str, code: str = "", message: str = "") -> None:
        """The coordinator has ended it: nothing more is sent or asked. What the node itself noted first
        stays."""
        self.leave(session_id, CLOSED, code, message)
        self._database.execute("UPDATE sessions SET state = ? WHERE session_id = ?", (CLOSED, session_id))
        for table in ("outgoing", "incoming"):
            self._database.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))  # noqa: S608

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

    def outgoing(self, session_id: str, round: int) -> bytes | None:
        """This node's own message of a round."""
        rows = self._database.rows(
            "SELECT envelope FROM outgoing WHERE session_id = ? AND type = ? AND round = ?",
            (session_id, ROUND_MESSAGE, round),
        )
        return bytes(rows[0][0]) if rows else None


def _record(row: Row) -> SessionRecord:
    session_id, digest, vault_id, attempt, dealers, state, round, sealed, *rest = row
    return SessionRecord(
        session_id,
        digest,
        vault_id,
        attempt,
        tuple(dealers.split()),
        state,
        round,
        bytes(sealed or b""),
        *rest,
    )
