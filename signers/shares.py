"""Share sets: what the node holds and held, and which of it is older than it should be (R25, R26, R30)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from signers.database import Database, Row
from signers.sealing import Place
from signers.set_rules import ABANDONED, ACTIVATED, ERASED, FINAL, PREPARED, HeldSet

__all__ = ["ABANDONED", "ACTIVATED", "ERASED", "FINAL", "PREPARED", "Quarantine", "ShareRecord", "Shares"]

_COLUMNS = (
    "group_id, epoch, digest, attempt, session_id, base, state, number, vault_id, domain, role, sealed,"
    " certificate, erase_at"
)


@dataclass(frozen=True)
class ShareRecord(HeldSet):
    """One share set of this node.

    sealed: the share, empty once erased; certificate: encoded, empty until FINAL; erase_at: when a set that
    was retired is erased, Unix milliseconds, 0 while nothing retires it.
    """

    vault_id: str
    domain: str
    role: str
    sealed: bytes = field(repr=False)
    certificate: bytes = field(default=b"", repr=False)
    erase_at: int = 0


@dataclass(frozen=True)
class Quarantine:
    """Why this node may not deal or approve by rule in a vault: it lacks a set that its peers hold (R30).

    role, epoch: of the set that it lacks, or of its newest one where a peer only claims a later one; code:
    stable; message: what to do; since: Unix milliseconds.
    """

    vault_id: str
    role: str
    epoch: int
    code: str
    message: str
    since: int


class Shares:
    """The share sets of one node. A set's row outlives its share, for its epoch must not come again (R26)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: ShareRecord) -> None:
        """Store a new set; `number` is given by the database."""
        values = {name: value for name, value in vars(record).items() if name != "number"}
        self._database.execute(
            f"INSERT INTO share_sets ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608
            tuple(values.values()),
        )

    def of_session(self, session_id: str) -> ShareRecord | None:
        return next(iter(self._where("session_id = ?", session_id)), None)

    def of_group(self, group_id: str) -> list[ShareRecord]:
        return self._where("group_id = ?", group_id)

    def of_vault(self, vault_id: str) -> list[ShareRecord]:
        return self._where("vault_id = ?", vault_id)

    def all(self) -> list[ShareRecord]:
        return self._where("1 = ?", 1)

    def final(self) -> list[ShareRecord]:
        """Certified sets whose share is still here, retired ones too."""
        return self._where("state = ?", FINAL)

    def active(self) -> list[ShareRecord]:
        """The newest certified set of each group, unless it is retired (R3)."""
        newest: dict[str, ShareRecord] = {}
        for record in self.final():
            known = newest.get(record.group_id)
            if known is None or (record.epoch, record.attempt) > (known.epoch, known.attempt):
                newest[record.group_id] = record
        return [record for record in newest.values() if not record.erase_at]

    def set_activated(self, session_id: str) -> None:
        self._database.execute(
            "UPDATE share_sets SET state = ? WHERE session_id = ? AND state = ?",
            (ACTIVATED, session_id, PREPARED),
        )

    def set_abandoned(self, session_id: str) -> None:
        self._database.execute(
            "UPDATE share_sets SET state = ? WHERE session_id = ? AND state = ?",
            (ABANDONED, session_id, PREPARED),
        )

    def set_final(self, session_id: str, certificate: bytes) -> None:
        self._database.execute(
            "UPDATE share_sets SET state = ?, certificate = ? WHERE session_id = ?",
            (FINAL, certificate, session_id),
        )

    # erasure

    def retire(self, sets: Iterable[HeldSet], erase_at: int) -> None:
        """Have the shares of these sets erased at that time, or sooner where that was said before."""
        for each in sets:
            self._database.execute(
                "UPDATE share_sets SET erase_at = ? WHERE session_id = ? AND erase_at = 0",
                (erase_at, each.session_id),
            )

    def due(self, now: int) -> list[ShareRecord]:
        """What is to be erased by now."""
        return [each for each in self._where("erase_at > ?", 0) if each.erase_at <= now and each.sealed]

    def erase(self, session_id: str) -> None:
        """Wipe the share; the certificate stays.

        SQLite overwrites the bytes (secure_delete) and Database.scrub empties the log that still has them.
        Postgres keeps them in the dead row until a vacuum and in its log until that is recycled: its disk
        must be encrypted, and its backups be let expire (docs/security.md).
        """
        self._database.execute(
            "UPDATE share_sets SET state = ?, sealed = ? WHERE session_id = ?", (ERASED, b"", session_id)
        )

    # certificates to hand in

    def undelivered_certificates(self) -> list[tuple[str, bytes]]:
        """(session id, certificate) that the coordinator has not confirmed."""
        rows = self._database.rows(
            """SELECT share_sets.session_id, certificate FROM share_sets
            JOIN sessions ON sessions.session_id = share_sets.session_id
            WHERE share_sets.state = ? AND delivered = 0 AND sessions.state <> 'closed'""",
            (FINAL,),
        )
        return [(row[0], bytes(row[1])) for row in rows]

    def mark_certificate_delivered(self, session_id: str) -> None:
        self._database.execute("UPDATE share_sets SET delivered = 1 WHERE session_id = ?", (session_id,))

    # quarantine

    def quarantine(self, vault_id: str) -> Quarantine | None:
        return next((each for each in self.quarantines() if each.vault_id == vault_id), None)

    def quarantines(self) -> list[Quarantine]:
        rows = self._database.rows(
            "SELECT vault_id, role, epoch, code, message, since FROM quarantine ORDER BY since, vault_id"
        )
        return [Quarantine(*row) for row in rows]

    def set_quarantine(self, quarantine: Quarantine) -> bool:
        """True when it is news: nothing of that vault and role, and nothing so late, was missing before."""
        changed = self._database.execute(
            """INSERT INTO quarantine (vault_id, role, epoch, code, message, since) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (vault_id, role) DO UPDATE SET epoch = excluded.epoch, code = excluded.code,
            message = excluded.message WHERE quarantine.epoch < excluded.epoch""",
            tuple(vars(quarantine).values()),
        )
        return changed == 1

    def lift_quarantine(self, vault_id: str) -> bool:
        """The operator ends it, knowing what became of the later set; False when there is none."""
        return bool(self._database.execute("DELETE FROM quarantine WHERE vault_id = ?", (vault_id,)))

    def outgrow_quarantine(self, vault_id: str, role: str, epoch: int) -> None:
        """A newer set than the one that was missing has come (R30)."""
        self._database.execute(
            "DELETE FROM quarantine WHERE vault_id = ? AND role = ? AND epoch < ?", (vault_id, role, epoch)
        )

    def _where(self, condition: str, value: str | int) -> list[ShareRecord]:
        rows = self._database.rows(
            f"""SELECT {_COLUMNS} FROM share_sets WHERE {condition}
            ORDER BY vault_id, group_id, epoch, attempt""",  # noqa: S608
            (value,),
        )
        return [_record(row) for row in rows]


def share_place(record: ShareRecord, node_id: str) -> Place:
    """Where a share belongs: copied to another vault, group, epoch, domain, node or run it does not open
    (R2)."""
    return Place(
        "share", node_id, record.domain, record.vault_id, record.group_id, record.epoch, record.session_id
    )


def _record(row: Row) -> ShareRecord:
    record = ShareRecord(*row)
    # psycopg gives memoryviews or bytes, SQLite bytes.
    return replace(
        record,
        base=bytes(record.base),
        sealed=bytes(record.sealed),
        certificate=bytes(record.certificate),
    )
