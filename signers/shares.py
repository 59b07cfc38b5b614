"""Share sets and anchors: what the node holds, and the keys that it knows to exist (R25, R26)."""

from dataclasses import dataclass, field

from signers.database import Database, Row
from signers.sealing import Place
from wire.canonical import canonical_bytes, parse_json

# PREPARED: stored, signed `prepared`; ACTIVATED: holds all prepared signatures, signed `activated`; FINAL:
# certified.
PREPARED, ACTIVATED, FINAL = "prepared", "activated", "final"
_COLUMNS = "group_id, epoch, digest, attempt, vault_id, domain, session_id, state, sealed, certificate"


@dataclass(frozen=True)
class ShareRecord:
    """One share set of this node. digest and session_id: hex, of the request and ceremony that made it;
    sealed: the share; certificate: encoded, empty until FINAL."""

    group_id: str
    epoch: int
    digest: str
    attempt: int
    vault_id: str
    domain: str
    session_id: str
    state: str
    sealed: bytes = field(repr=False)
    certificate: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class RootKey:
    """A root key from this node's own store (R3). public_key and chain_code in hex; xpub: root extended
    public key."""

    curve: str
    xpub: str
    public_key: str
    chain_code: str


@dataclass(frozen=True)
class Anchor:
    """What a node pins about a key: vault, group, hash of the KeyGen certificate, policy hash, root keys."""

    vault_id: str
    group_id: str
    certificate_hash: bytes
    policy_hash: bytes
    root_keys: tuple[RootKey, ...]


class Shares:
    """The share sets and anchors of one node. Nothing here erases a share (R16, R26)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: ShareRecord) -> None:
        self._database.execute(
            f"INSERT INTO share_sets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                record.group_id,
                record.epoch,
                record.digest,
                record.attempt,
                record.vault_id,
                record.domain,
                record.session_id,
                record.state,
                record.sealed,
                record.certificate,
            ),
        )

    def of_session(self, session_id: str) -> ShareRecord | None:
        return next(iter(self._where("session_id = ?", session_id)), None)

    def of_group(self, group_id: str) -> list[ShareRecord]:
        return self._where("group_id = ?", group_id)

    def final(self) -> list[ShareRecord]:
        return self._where("state = ?", FINAL)

    def set_activated(self, session_id: str) -> None:
        self._database.execute(
            "UPDATE share_sets SET state = ? WHERE session_id = ? AND state = ?",
            (ACTIVATED, session_id, PREPARED),
        )

    def set_final(self, session_id: str, certificate: bytes) -> None:
        self._database.execute(
            "UPDATE share_sets SET state = ?, certificate = ? WHERE session_id = ?",
            (FINAL, certificate, session_id),
        )

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

    # anchors

    def add_anchor(self, anchor: Anchor) -> None:
        keys = [vars(key) for key in anchor.root_keys]
        self._database.execute(
            """INSERT INTO anchors (vault_id, group_id, certificate_hash, policy_hash, root_keys)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT (vault_id) DO NOTHING""",
            (
                anchor.vault_id,
                anchor.group_id,
                anchor.certificate_hash,
                anchor.policy_hash,
                canonical_bytes(keys).decode(),
            ),
        )

    def anchor(self, vault_id: str) -> Anchor | None:
        rows = self._database.rows(
            """SELECT vault_id, group_id, certificate_hash, policy_hash, root_keys FROM anchors
            WHERE vault_id = ?""",
            (vault_id,),
        )
        if not rows:
            return None
        vault, group_id, certificate_hash, policy_hash, keys = rows[0]
        root_keys = tuple(RootKey(**key) for key in parse_json(keys.encode()))
        return Anchor(vault, group_id, bytes(certificate_hash), bytes(policy_hash), root_keys)

    def _where(self, condition: str, value: str) -> list[ShareRecord]:
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
    group_id, epoch, digest, attempt, vault_id, domain, session_id, state, sealed, certificate = row
    return ShareRecord(
        group_id,
        epoch,
        digest,
        attempt,
        vault_id,
        domain,
        session_id,
        state,
        bytes(sealed),
        bytes(certificate or b""),
    )
