"""What the node does when a passkey of its own holder has voted (R10, R13).

A rejection or withdrawal it obeys at once. An approval was given on a page that the coordinator serves, so it
proves who and not what: the node follows it by itself only where its own rules say so.
"""

import logging
from collections.abc import Iterable

from signers.checks import Checks
from signers.decisions import Decisions
from signers.errors import Refusal
from signers.policy import Policy
from signers.requests import ASK, RequestRecord
from signers.store import Store
from wire.approval import APPROVE, REJECT
from wire.assertion import PasskeyError
from wire.ballot import check_passkey
from wire.intent import Intent
from wire.passkey import PasskeyApproval

log = logging.getLogger("quorate.node")


class Following:
    """The passkey votes of this node's own holder."""

    def __init__(self, store: Store, checks: Checks, decisions: Decisions, own_id: str) -> None:
        self._store = store
        self._checks = checks
        self._decisions = decisions
        self._own_id = own_id

    def take(self, votes: Iterable[PasskeyApproval]) -> bool:
        """Check and keep what the coordinator shows; True when something is new."""
        # Each of them, not only up to the first.
        return sum(map(self._take, votes)) > 0

    def _take(self, vote: PasskeyApproval) -> bool:
        digest = vote.digest.hex()
        record = self._store.requests.get(digest)
        if vote.node_id != self._own_id or record is None or not record.manifest:
            return False
        code, said = "", f"request {digest}: a passkey of this holder said {vote.decision}"
        try:
            self._check(vote, record)
        except (PasskeyError, Refusal) as error:
            code, said = error.code, f"request {digest}: a passkey vote does not count: {error.message}"
        if not self._store.passkeys.keep(vote, code):
            return False
        self._store.log(code or "passkey_vote", said)
        log.info("event=passkey_vote digest=%s decision=%s code=%s", digest[:16], vote.decision, code or "ok")
        return True

    def _check(self, vote: PasskeyApproval, record: RequestRecord) -> None:
        """Against the card as it is now: a passkey that was taken off counts no more, whatever a roster says.

        Raises PasskeyError, Refusal.
        """
        intent = Intent.parse(record.intent.encode())
        counter = check_passkey(vote, intent, vote.digest, {self._own_id: self._store.card()})
        if vote.decision == APPROVE:
            self._checks.check_time(intent)
        if self._store.passkeys.counter_fell(vote, counter):
            self._store.log(
                "counter_fell",
                f"passkey {vote.credential_id.hex()}: its counter fell: there may be a copy of it",
            )

    def follow(self, policy: Policy) -> bool:
        """Do what the kept votes ask for and this node's rules allow; True when it decided something."""
        votes = [kept.vote for kept in self._store.passkeys.open_of(self._own_id) if not kept.code]
        return sum(self._follow(vote, policy) for vote in votes) > 0

    def _follow(self, vote: PasskeyApproval, policy: Policy) -> bool:
        digest = vote.digest.hex()
        record = self._store.requests.get(digest)
        own = self._store.requests.own_decision(digest, self._own_id)
        if record is None:
            return False
        if vote.decision == REJECT:
            if own is not None and own.decision == REJECT:
                return False
            self._decisions.reject(record, vote.reason)
            return True
        if vote.decision != APPROVE:
            if own is None or own.decision != APPROVE:
                return False
            self._decisions.withdraw(record, vote.reason)
            return True
        if own is not None or record.verdict != ASK:
            return False
        # The vote may be older than the loss of its passkey, and what hindered this node gone only now.
        if self._store.card().credential(vote.credential_id) is None:
            return False
        alone = Intent.parse(record.intent.encode()).type in policy.passkey_alone
        return alone and self._decisions.follow(record, policy)
