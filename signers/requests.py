"""Requests that the coordinator showed, this node's verdicts, and the decisions it knows of."""

from dataclasses import dataclass

from signers.answers import Documents
from signers.database import Database, Row
from wire.approval import APPROVE, DECISIONS, REJECT, WITHDRAW, Approval
from wire.canonical import canonical_bytes, parse_json
from wire.fields import Fields

# Verdicts of this node: ask its operator, approve by rule, not take part, or only be told (R17).
ASK, AUTO, REFUSED, NOTICE = "ask", "auto", "refused", "notice"
OPEN = "open"
SUCCEEDED = "succeeded"
# Where an own decision came from (R10, R13); others come from the coordinator or from round 0.
OPERATOR, RULE, PASSKEY, PEER = "operator", "rule", "passkey", "peer"
# A coordinator that shows more open requests than this is not answered for the rest.
MAX_OPEN_REQUESTS = 500
MAX_KEPT_BYTES = 64 << 20
_COLUMNS = (
    "digest, request_id, vault_id, group_id, intent, manifest, source_manifest, policy, new_policy, proofs,"
    " verdict, code, message, state, attempt, result, received_at"
)
# R13: a decision gives way to a stronger one only, and never comes back.
STRENGTH = {APPROVE: 0, WITHDRAW: 1, REJECT: 2}


@dataclass(frozen=True)
class RequestRecord:
    """A request as this node knows it.

    digest: hex; intent to new_policy: canonical JSON texts, "" where there is none; proofs: certificates and
    decrees (Documents.proofs) while it is open; verdict: ASK, AUTO, NOTICE or REFUSED with code and message;
    state: OPEN or what the coordinator says it ended as; attempt: the highest that the node entered; result:
    "" or SUCCEEDED; received_at: when it was first shown, Unix milliseconds.
    """

    digest: str
    request_id: str
    vault_id: str
    group_id: str
    intent: str
    manifest: str
    source_manifest: str
    policy: str
    new_policy: str
    proofs: str
    verdict: str
    code: str
    message: str
    state: str = OPEN
    attempt: int = 0
    result: str = ""
    received_at: int = 0

    def documents(self) -> Documents:
        """What the coordinator showed, without the decisions (these are kept on their own)."""
        proofs = parse_json(self.proofs.encode(), max_bytes=MAX_KEPT_BYTES) if self.proofs else _NO_PROOFS
        texts = {name: getattr(self, name) for name in _TEXTS}
        return Documents.read(Fields({**texts, "decisions": [], **proofs}, "request"))


_TEXTS = ("intent", "manifest", "source_manifest", "policy", "new_policy")
_NO_PROOFS: dict[str, list[str]] = {"certificates": [], "decrees": []}


@dataclass(frozen=True)
class Refused:
    """A refusal to report: digest (hex), code, message."""

    digest: str
    code: str
    message: str


class Requests:
    """Requests and decisions of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, record: RequestRecord) -> None:
        """Write a new request, or a new verdict about a known one (which is then reported again if it
        refuses)."""
        self._database.execute(
            f"""INSERT INTO requests ({_COLUMNS})
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (digest) DO UPDATE SET request_id = excluded.request_id, vault_id = excluded.vault_id,
            group_id = excluded.group_id, intent = excluded.intent, manifest = excluded.manifest,
            source_manifest = excluded.source_manifest, policy = excluded.policy,
            new_policy = excluded.new_policy, proofs = excluded.proofs, verdict = excluded.verdict,
            code = excluded.code, message = excluded.message, received_at = excluded.received_at,
            refusal_sent = 0""",  # noqa: S608
            tuple(vars(record).values()),
        )

    def get(self, digest: str) -> RequestRecord | None:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM requests WHERE digest = ?", (digest,))  # noqa: S608
        return RequestRecord(*rows[0]) if rows else None

    def find(self, text: str) -> list[RequestRecord]:
        """Requests by request id, digest or the digest's beginning (8 digits or more)."""
        rows = self._database.rows(
            f"""SELECT {_COLUMNS} FROM requests WHERE request_id = ?
            OR (LENGTH(?) >= 8 AND SUBSTR(digest, 1, LENGTH(?)) = ?) ORDER BY received_at""",  # noqa: S608
            (text, text, text, text.lower()),
        )
        return [RequestRecord(*row) for row in rows]

    def all(self, *, open_only: bool = True) -> list[RequestRecord]:
        """Those that the coordinator has not closed, or every one."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM requests ORDER BY received_at, digest")  # noqa: S608
        records = [RequestRecord(*row) for row in rows]
        return [record for record in records if record.state == OPEN or not open_only]

    def any_refused(self) -> bool:
        """Whether an open request is refused."""
        sql = "SELECT 1 FROM requests WHERE verdict = ? AND state = ? LIMIT 1"
        return bool(self._database.rows(sql, (REFUSED, OPEN)))

    def open_digests(self) -> list[str]:
        rows = self._database.rows(
            "SELECT digest FROM requests WHERE state = ? ORDER BY received_at", (OPEN,)
        )
        return [row[0] for row in rows]

    def kept_bytes(self) -> int:
        """How much text the open requests take."""
        rows = self._database.rows(
            """SELECT SUM(LENGTH(intent) + LENGTH(manifest) + LENGTH(source_manifest) + LENGTH(policy)
            + LENGTH(new_policy) + LENGTH(proofs)) FROM requests WHERE state = ?""",
            (OPEN,),
        )
        return int(rows[0][0] or 0)

    def close(self, digest: str, state: str) -> None:
        """Note how a request ended. One that this node had no part in is forgotten, decisions never are
        (R13), nor what an old Main holder was told: it says which shares the outcome retires (R26)."""
        self._database.execute(
            """DELETE FROM requests WHERE digest = ? AND attempt = 0 AND verdict <> ?
            AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.digest = requests.digest)""",
            (digest, NOTICE),
        )
        self._database.execute(
            "UPDATE requests SET state = ?, proofs = '' WHERE digest = ? AND state = ?",
            (state, digest, OPEN),
        )
        # A hostile coordinator must not fill the disk.
        self._database.execute(
            """DELETE FROM requests WHERE verdict = ? AND state <> ? AND digest NOT IN (SELECT digest
            FROM requests WHERE verdict = ? ORDER BY received_at DESC LIMIT ?)""",
            (NOTICE, OPEN, NOTICE, MAX_OPEN_REQUESTS),
        )

    def refuse(self, digest: str, code: str, message: str) -> None:
        """Change the verdict to a refusal, to be reported while the request is open (or open again)."""
        self._database.execute(
            """UPDATE requests SET verdict = ?, code = ?, message = ?, refusal_sent = 0, state = ?
            WHERE digest = ?""",
            (REFUSED, code, message, OPEN, digest),
        )

    def enter_attempt(self, digest: str, attempt: int) -> bool:
        """Raise the highest attempt; False if it does not rise (R20)."""
        changed = self._database.execute(
            "UPDATE requests SET attempt = ?, state = ? WHERE digest = ? AND attempt < ? AND result = ''",
            (attempt, OPEN, digest, attempt),
        )
        return changed == 1

    def set_result(self, digest: str, result: str) -> None:
        self._database.execute("UPDATE requests SET result = ? WHERE digest = ?", (result, digest))

    # refusals to report

    def unsent_refusals(self) -> list[Refused]:
        rows = self._database.rows(
            """SELECT digest, code, message FROM requests WHERE verdict = ? AND refusal_sent = 0
            AND state = ? ORDER BY received_at""",
            (REFUSED, OPEN),
        )
        return [Refused(*row) for row in rows]

    def mark_refusal_sent(self, refused: Refused) -> None:
        self._database.execute(
            "UPDATE requests SET refusal_sent = 1 WHERE digest = ? AND code = ?",
            (refused.digest, refused.code),
        )

    # decisions

    def add_decision(self, approval: Approval, origin: str) -> bool:
        """Keep a holder's decision. Rejecting and withdrawing take the place of approving (R13), never the
        other way round.

        True when something changed.
        """
        digest, text = approval.digest.hex(), canonical_bytes(approval.to_json()).decode()
        weaker = [name for name in DECISIONS if STRENGTH[name] < STRENGTH[approval.decision]]
        changed = self._database.execute(
            f"""INSERT INTO decisions (digest, node_id, decision, approval, origin) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (digest, node_id) DO UPDATE SET decision = excluded.decision,
            approval = excluded.approval,
            origin = excluded.origin, delivered = 0
            WHERE decisions.decision IN ({", ".join("?" * len(weaker)) or "''"})""",  # noqa: S608
            (digest, approval.node_id, approval.decision, text, origin, *weaker),
        )
        return changed == 1

    def decisions(self, digest: str) -> list[Approval]:
        rows = self._database.rows(
            "SELECT approval FROM decisions WHERE digest = ? ORDER BY node_id", (digest,)
        )
        return [_approval(row) for row in rows]

    def own_decision(self, digest: str, node_id: str) -> Approval | None:
        """What this node's operator or rule decided."""
        rows = self._database.rows(
            "SELECT approval FROM decisions WHERE digest = ? AND node_id = ? AND origin <> ?",
            (digest, node_id, PEER),
        )
        return _approval(rows[0]) if rows else None

    def decided_by_operator(self, digest: str, node_id: str) -> bool:
        """Whether the node's decision is a person's and not a rule's."""
        sql = "SELECT 1 FROM decisions WHERE digest = ? AND node_id = ? AND origin = ?"
        return bool(self._database.rows(sql, (digest, node_id, OPERATOR)))

    def undelivered_decisions(self) -> list[Approval]:
        """Own decisions about open requests that the coordinator has not confirmed."""
        rows = self._database.rows(
            """SELECT approval FROM decisions JOIN requests ON requests.digest = decisions.digest
            WHERE origin <> ? AND delivered = 0 AND requests.state = ? ORDER BY decisions.digest""",
            (PEER, OPEN),
        )
        return [_approval(row) for row in rows]

    def mark_delivered(self, approval: Approval) -> None:
        self._database.execute(
            "UPDATE decisions SET delivered = 1 WHERE digest = ? AND node_id = ? AND decision = ?",
            (approval.digest.hex(), approval.node_id, approval.decision),
        )


def _approval(row: Row) -> Approval:
    return Approval.from_json(parse_json(row[0].encode()))
