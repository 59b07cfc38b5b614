"""Passkey votes that this node keeps: any holder's rejections and withdrawals, all of its own (R13)."""

from dataclasses import dataclass

from signers.database import Database
from signers.requests import OPEN, STRENGTH
from wire.approval import DECISIONS
from wire.canonical import canonical_bytes, parse_json
from wire.passkey import PasskeyApproval


@dataclass(frozen=True)
class KeptVote:
    """A passkey vote; code: why this node refuses it, "" for a good one."""

    vote: PasskeyApproval
    code: str


class PasskeyVotes:
    """The passkey votes of one node, and the counters of its own passkeys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, vote: PasskeyApproval, code: str = "") -> bool:
        """Keep a vote; a stronger one takes a weaker one's place (R13), a good one a refused one's.

        True when something changed.
        """
        digest, text = vote.digest.hex(), canonical_bytes(vote.to_json()).decode()
        weaker = [name for name in DECISIONS if STRENGTH[name] < STRENGTH[vote.decision]]
        changed = self._database.execute(
            f"""INSERT INTO passkey_votes (digest, node_id, decision, vote, code) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (digest, node_id) DO UPDATE SET decision = excluded.decision, vote = excluded.vote,
            code = excluded.code
            WHERE (passkey_votes.code <> '' AND excluded.code = '') OR (
            passkey_votes.decision IN ({", ".join("?" * len(weaker)) or "''"})
            AND (passkey_votes.code <> '' OR excluded.code = ''))""",  # noqa: S608
            (digest, vote.node_id, vote.decision, text, code, *weaker),
        )
        return changed == 1

    def forget_refused(self, digest: str) -> None:
        """The request is over: what never counted is kept no longer, lest it fill the disk."""
        self._database.execute("DELETE FROM passkey_votes WHERE digest = ? AND code <> ''", (digest,))

    def good(self, digest: str) -> list[PasskeyApproval]:
        """The good votes about a request."""
        sql = "SELECT vote FROM passkey_votes WHERE digest = ? AND code = '' ORDER BY node_id"
        return [_vote(row[0]) for row in self._database.rows(sql, (digest,))]

    def of(self, digest: str, node_id: str) -> KeptVote | None:
        """The holder's vote about a request, refused ones too."""
        sql = "SELECT vote, code FROM passkey_votes WHERE digest = ? AND node_id = ?"
        rows = self._database.rows(sql, (digest, node_id))
        return KeptVote(_vote(rows[0][0]), rows[0][1]) if rows else None

    def open_of(self, node_id: str) -> list[KeptVote]:
        """The holder's votes about open requests, refused ones too."""
        rows = self._database.rows(
            """SELECT vote, passkey_votes.code FROM passkey_votes
            JOIN requests ON requests.digest = passkey_votes.digest
            WHERE node_id = ? AND requests.state = ? ORDER BY passkey_votes.digest""",
            (node_id, OPEN),
        )
        return [KeptVote(_vote(vote), code) for vote, code in rows]

    def counter_fell(self, vote: PasskeyApproval, counter: int) -> bool:
        """Note a counter; whether it is lower than a signature of earlier time had (R9).

        An authenticator without a counter says 0 always.
        """
        credential_id = vote.credential_id.hex()
        sql = "SELECT counter, time FROM passkey_counters WHERE credential_id = ?"
        rows = self._database.rows(sql, (credential_id,))
        if rows and vote.time <= rows[0][1]:
            return False
        self._database.execute(
            """INSERT INTO passkey_counters (credential_id, counter, time) VALUES (?, ?, ?)
            ON CONFLICT (credential_id) DO UPDATE SET counter = excluded.counter, time = excluded.time""",
            (credential_id, counter, vote.time),
        )
        return bool(rows) and counter < rows[0][0]


def _vote(text: str) -> PasskeyApproval:
    return PasskeyApproval.from_json(parse_json(text.encode()))
