"""The node's own records: what it is, whom it trusts, what it decided, what it holds.

Public facts are readable without the password; secrets are sealed (signers.sealing). Everything that must not
be forgotten is written before anything is sent (R23).
"""

import time
from dataclasses import dataclass

from signers.anchors import Anchors
from signers.audit_watch import AuditWords
from signers.cards import SeenCards
from signers.database import Database
from signers.errors import NodeError, plain
from signers.evidence import Evidence
from signers.passkey_votes import PasskeyVotes
from signers.pins import Pins
from signers.requests import Requests
from signers.sealing import KdfCost, Keyring
from signers.sessions import Sessions
from signers.shares import Shares
from signers.statements import Statements
from wire.canonical import canonical_bytes, parse_json
from wire.identity import HolderCard

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS identity (
        id BIGINT PRIMARY KEY CHECK (id = 1), node_id TEXT NOT NULL, card TEXT NOT NULL,
        sealed BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS keyring (
        id BIGINT PRIMARY KEY CHECK (id = 1), kind TEXT NOT NULL, operations BIGINT NOT NULL,
        memory BIGINT NOT NULL, salt BLOB NOT NULL, verifier BLOB NOT NULL, nonce BLOB NOT NULL,
        sealed_key BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS pins (
        node_id TEXT PRIMARY KEY, signing_key BLOB, encryption_key BLOB, kind TEXT NOT NULL,
        label TEXT NOT NULL, checked_how TEXT NOT NULL, pinned_by TEXT NOT NULL, pinned_at BIGINT NOT NULL,
        mac BLOB NOT NULL)""",
    # attempt: the highest that this node entered; result: '' or the final one (R20).
    """CREATE TABLE IF NOT EXISTS requests (
        digest TEXT PRIMARY KEY, request_id TEXT NOT NULL, vault_id TEXT NOT NULL, group_id TEXT NOT NULL,
        intent TEXT NOT NULL, manifest TEXT NOT NULL, source_manifest TEXT NOT NULL, policy TEXT NOT NULL,
        new_policy TEXT NOT NULL, proofs TEXT NOT NULL, verdict TEXT NOT NULL, code TEXT NOT NULL,
        message TEXT NOT NULL, refusal_sent BIGINT NOT NULL DEFAULT 0,
        state TEXT NOT NULL, attempt BIGINT NOT NULL DEFAULT 0, result TEXT NOT NULL DEFAULT '',
        received_at BIGINT NOT NULL)""",
    # What a holder has taken back stays so (R13).
    """CREATE TABLE IF NOT EXISTS decisions (
        digest TEXT NOT NULL, node_id TEXT NOT NULL, decision TEXT NOT NULL, approval TEXT NOT NULL,
        origin TEXT NOT NULL, delivered BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (digest, node_id))""",
    # code: why this node refuses the vote, '' for a good one.
    """CREATE TABLE IF NOT EXISTS passkey_votes (
        digest TEXT NOT NULL, node_id TEXT NOT NULL, decision TEXT NOT NULL, vote TEXT NOT NULL,
        code TEXT NOT NULL, PRIMARY KEY (digest, node_id))""",
    """CREATE TABLE IF NOT EXISTS passkey_counters (
        credential_id TEXT PRIMARY KEY, counter BIGINT NOT NULL, time BIGINT NOT NULL)""",
    # The newest card of each peer that this node has seen (R7).
    """CREATE TABLE IF NOT EXISTS cards (
        node_id TEXT PRIMARY KEY, version BIGINT NOT NULL, card TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS sessions (
        session_id TEXT PRIMARY KEY, digest TEXT NOT NULL, vault_id TEXT NOT NULL, attempt BIGINT NOT NULL,
        dealers TEXT NOT NULL, state TEXT NOT NULL, round BIGINT NOT NULL, sealed BLOB,
        started_at BIGINT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, compute_us BIGINT NOT NULL)""",
    # R24: one running share-changing ceremony per key, in this node too.
    "CREATE UNIQUE INDEX IF NOT EXISTS one_running_session ON sessions (vault_id) WHERE state = 'running'",
    """CREATE TABLE IF NOT EXISTS outgoing (
        session_id TEXT NOT NULL, type BIGINT NOT NULL, round BIGINT NOT NULL, recipient BIGINT NOT NULL,
        envelope BLOB NOT NULL, delivered BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (session_id, type, round, recipient))""",
    """CREATE TABLE IF NOT EXISTS incoming (
        session_id TEXT NOT NULL, round BIGINT NOT NULL, sender BIGINT NOT NULL, envelope BLOB NOT NULL,
        PRIMARY KEY (session_id, round, sender))""",
    # Two signed messages that cannot both be honest: kept for people to show (R22).
    """CREATE TABLE IF NOT EXISTS evidence (
        session_id TEXT NOT NULL, kind TEXT NOT NULL, round BIGINT NOT NULL, sender BIGINT NOT NULL,
        first BLOB NOT NULL, second BLOB NOT NULL, delivered BIGINT NOT NULL,
        PRIMARY KEY (session_id, kind, round, sender))""",
    # Rows stay when the share is erased: what was prepared once is never prepared again (R26).
    """CREATE TABLE IF NOT EXISTS share_sets (
        number SERIAL PRIMARY KEY, group_id TEXT NOT NULL, epoch BIGINT NOT NULL, digest TEXT NOT NULL,
        attempt BIGINT NOT NULL, session_id TEXT NOT NULL UNIQUE, base BLOB NOT NULL, state TEXT NOT NULL,
        vault_id TEXT NOT NULL, domain TEXT NOT NULL, role TEXT NOT NULL, sealed BLOB NOT NULL,
        certificate BLOB NOT NULL, erase_at BIGINT NOT NULL, delivered BIGINT NOT NULL DEFAULT 0)""",
    """CREATE TABLE IF NOT EXISTS statements (
        session_id TEXT NOT NULL, node_id TEXT NOT NULL, state TEXT NOT NULL, group_id TEXT NOT NULL,
        statement TEXT NOT NULL, delivered BIGINT NOT NULL, PRIMARY KEY (session_id, node_id, state))""",
    """CREATE TABLE IF NOT EXISTS quarantine (
        vault_id TEXT NOT NULL, role TEXT NOT NULL, epoch BIGINT NOT NULL, code TEXT NOT NULL,
        message TEXT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (vault_id, role))""",
    # anchor: canonical JSON (wire.anchor).
    """CREATE TABLE IF NOT EXISTS anchors (
        vault_id TEXT PRIMARY KEY, anchor TEXT NOT NULL, checked_how TEXT NOT NULL, pinned_by TEXT NOT NULL,
        pinned_at BIGINT NOT NULL, mac BLOB NOT NULL)""",
    # Verified back to the anchor. group_id: '' where this node has not seen the roster.
    """CREATE TABLE IF NOT EXISTS certificates (
        hash BLOB PRIMARY KEY, vault_id TEXT NOT NULL, group_id TEXT NOT NULL, epoch BIGINT NOT NULL,
        certificate BLOB NOT NULL, mac BLOB NOT NULL)""",
    # Node ids that others have taken the place of (R6).
    """CREATE TABLE IF NOT EXISTS revoked (
        vault_id TEXT NOT NULL, node_id TEXT NOT NULL, PRIMARY KEY (vault_id, node_id))""",
    # All sets of a group up to an epoch: nothing is made from them any more (R26).
    """CREATE TABLE IF NOT EXISTS retired (
        vault_id TEXT NOT NULL, group_id TEXT NOT NULL, epoch BIGINT NOT NULL,
        PRIMARY KEY (vault_id, group_id))""",
    # What this node signed about the coordinator's audit log; of each alarm the first (signers.audit_watch).
    """CREATE TABLE IF NOT EXISTS audit_words (
        verdict TEXT NOT NULL, sequence BIGINT NOT NULL, word TEXT NOT NULL,
        delivered BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (verdict, sequence))""",
    """CREATE TABLE IF NOT EXISTS log (
        id SERIAL PRIMARY KEY, time BIGINT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL)""",
)
_HIGH_WATER = "time_high_water"
# A clock that is set back a little (leap second, time server) is carried over; the node then uses its
# high-water mark.
_TOLERATED_STEP_MS = 60_000
_PERSIST_STEP_MS = 1_000
MAX_LOG_ROWS = 10_000


@dataclass(frozen=True)
class LogEntry:
    """A security event: time in Unix milliseconds, stable code, message without secrets."""

    time: int
    code: str
    message: str


class Store:
    """One node's records over a Database; opens, and creates what is missing."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction():
            for statement in _SCHEMA:
                database.execute(statement)
        self.pins = Pins(database)
        self.anchors = Anchors(database)
        self.requests = Requests(database)
        self.passkeys = PasskeyVotes(database)
        self.cards = SeenCards(database)
        self.sessions = Sessions(database)
        self.shares = Shares(database)
        self.statements = Statements(database)
        self.evidence = Evidence(database)
        self.audit_words = AuditWords(database)
        self._high_water = int(self.setting(_HIGH_WATER) or 0)

    def close(self) -> None:
        self.database.close()

    # settings

    def setting(self, name: str) -> str:
        """The value of a setting, "" when it was never set."""
        rows = self.database.rows("SELECT value FROM settings WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def set_setting(self, name: str, value: str) -> None:
        self.database.execute(
            """INSERT INTO settings (name, value) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
            (name, value),
        )

    # time

    def now(self) -> int:
        """Unix milliseconds that never go back (R15).

        Raises NodeError clock_behind when the clock is far behind the latest time that the node has seen.
        """
        clock = time.time_ns() // 1_000_000
        # Another process of this node may have moved the mark.
        mark = max(self._high_water, int(self.setting(_HIGH_WATER) or 0))
        if clock < mark - _TOLERATED_STEP_MS:
            raise NodeError(
                "clock_behind",
                f"the clock is {(mark - clock) // 1000} s behind the latest time that this node has seen:"
                " set it right",
            )
        now = max(clock, mark)
        if now >= self._high_water + _PERSIST_STEP_MS:
            self._high_water = now
            self.set_setting(_HIGH_WATER, str(now))
        return now

    # identity and keyring

    @property
    def initialised(self) -> bool:
        return bool(self.database.rows("SELECT id FROM identity"))

    def card(self) -> HolderCard:
        """The node's own card, public. Raises NodeError not_initialised."""
        return HolderCard.from_json(parse_json(self._identity_row()[1].encode()))

    def replace_card(self, card: HolderCard) -> None:
        """Write the next version of the own card; the coordinator is given it (Outbox).

        Raises NodeError card_changed when another process did so first.
        """
        text, before = canonical_bytes(card.to_json()).decode(), self._identity_row()[1]
        if HolderCard.from_json(parse_json(before.encode())).version != card.version - 1 or not (
            self.database.execute("UPDATE identity SET card = ? WHERE id = 1 AND card = ?", (text, before))
        ):
            raise NodeError("card_changed", "the card was changed at the same time: look and try again")

    def sealed_identity(self) -> tuple[str, bytes]:
        """Node id and sealed keys."""
        node_id, _, sealed = self._identity_row()
        return node_id, sealed

    def create_identity(self, card: HolderCard, sealed: bytes, keyring: Keyring) -> None:
        """Write identity and keyring together. Raises NodeError already_initialised."""
        with self.database.transaction():
            if self.initialised:
                raise NodeError("already_initialised", "this folder already holds a node")
            self.save_keyring(keyring)
            self.database.execute(
                "INSERT INTO identity (id, node_id, card, sealed) VALUES (1, ?, ?, ?)",
                (card.node_id, canonical_bytes(card.to_json()).decode(), sealed),
            )

    def keyring(self) -> Keyring:
        rows = self.database.rows(
            "SELECT kind, operations, memory, salt, verifier, nonce, sealed_key FROM keyring WHERE id = 1"
        )
        if not rows:
            raise NodeError("not_initialised", "there is no node here yet: run init")
        kind, operations, memory, salt, verifier, nonce, sealed_key = rows[0]
        return Keyring(kind, KdfCost(operations, memory), salt, verifier, nonce, sealed_key)

    def save_keyring(self, keyring: Keyring) -> None:
        self.database.execute(
            """INSERT INTO keyring (id, kind, operations, memory, salt, verifier, nonce, sealed_key)
            VALUES (1, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET kind = excluded.kind,
            operations = excluded.operations, memory = excluded.memory, salt = excluded.salt,
            verifier = excluded.verifier, nonce = excluded.nonce, sealed_key = excluded.sealed_key""",
            (
                keyring.kind,
                keyring.cost.operations,
                keyring.cost.memory,
                keyring.salt,
                keyring.check,
                keyring.nonce,
                keyring.sealed_key,
            ),
        )

    def _identity_row(self) -> tuple[str, str, bytes]:
        rows = self.database.rows("SELECT node_id, card, sealed FROM identity WHERE id = 1")
        if not rows:
            raise NodeError("not_initialised", "there is no node here yet: run init")
        return rows[0][0], rows[0][1], rows[0][2]

    # log of security events

    def log(self, code: str, message: str) -> None:
        """Append an event; the oldest beyond MAX_LOG_ROWS go, so that a hostile coordinator cannot fill the
        disk."""
        self.database.execute(
            "INSERT INTO log (time, code, message) VALUES (?, ?, ?)",
            (time.time_ns() // 1_000_000, code, plain(message, 2000)),
        )
        self.database.execute("DELETE FROM log WHERE id <= (SELECT MAX(id) FROM log) - ?", (MAX_LOG_ROWS,))

    def log_entries(self) -> list[LogEntry]:
        return [
            LogEntry(*row) for row in self.database.rows("SELECT time, code, message FROM log ORDER BY id")
        ]
