"""What the node makes of each request: its verdict, and what rule or operator decide (R11, R13)."""

import logging
from dataclasses import replace

from signers.answers import Documents
from signers.checks import CheckedRequest, Checks
from signers.checks.judge import DELAYED
from signers.checks.votes import readable_decisions
from signers.errors import NodeError, Refusal, plain
from signers.identity import Identity
from signers.policy import Policy
from signers.requests import (
    ASK,
    AUTO,
    MAX_KEPT_BYTES,
    MAX_OPEN_REQUESTS,
    NOTICE,
    OPERATOR,
    PASSKEY,
    REFUSED,
    RULE,
    RequestRecord,
)
from signers.runner import Runner
from signers.store import Store
from wire.approval import APPROVE, REJECT, WITHDRAW, Approval
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.intent import Intent
from wire.manifest import Manifest

log = logging.getLogger("quorate.node")

_MAX_REASON = 500
_UNREAD = Documents("", "", "", "", "")


class Decisions:
    """The verdicts and decisions of one unlocked node."""

    def __init__(self, store: Store, identity: Identity, checks: Checks, runner: Runner) -> None:
        self._store = store
        self._identity = identity
        self._checks = checks
        self._runner = runner
        self._seen = ""

    # the operator

    def check(self, record: RequestRecord, policy: Policy) -> CheckedRequest:
        """Every check once more, now. Raises Refusal."""
        if not record.intent:
            raise Refusal(record.code, record.message)  # its text could not be read, and was not kept
        checked = self._checks.request(record.documents(), policy)
        self._checks.keep_rejections(checked.manifest, checked.source_manifest, checked.digest)
        return checked

    def approve(self, record: RequestRecord, policy: Policy) -> Approval:
        """The operator approves. Raises Refusal."""
        checked = self.check(record, policy)
        if not checked.voter:
            raise Refusal("no_vote", "this node is only told of this request: there is nothing to approve")
        with self._store.database.transaction():
            # A refusal that the operator has put right since is not reported any more.
            self._store.requests.save(replace(record, verdict=ASK, code="", message=""))
            return self._approve(checked, OPERATOR)

    def follow(self, record: RequestRecord, policy: Policy) -> bool:
        """Approve because a passkey of this holder did, where the rules let it decide alone (R10)."""
        try:
            checked = self.check(record, policy)
        except Refusal as refusal:
            self.refuse(record.digest, refusal)
            return False
        if not checked.voter or not checked.by_passkey:
            return False
        self._approve(checked, PASSKEY)
        return True

    def reject(self, record: RequestRecord, reason: str) -> Approval:
        """The operator rejects: ends the request, and binds this node at once and for ever (R13), whatever
        state the request is in."""
        decision = self._take_back(record, REJECT, reason)
        with self._store.database.transaction():
            self._store.requests.add_decision(decision, OPERATOR)
            said = "the operator of this node rejected the request"
            self._store.requests.refuse(record.digest, "rejected", said)
            self._runner.reject(record.digest, reason)
        return decision

    def withdraw(self, record: RequestRecord, reason: str) -> Approval:
        """The operator takes the approval back: this node never takes part (R13), others may go on.

        Raises NodeError nothing_to_withdraw.
        """
        own = self._store.requests.own_decision(record.digest, self._identity.node_id)
        if own is None or own.decision != APPROVE:
            raise NodeError("nothing_to_withdraw", "this node has no approval of this request to take back")
        decision = self._take_back(record, WITHDRAW, reason)
        with self._store.database.transaction():
            self._store.requests.add_decision(decision, OPERATOR)
            said = "the operator of this node has taken its approval back"
            self._store.requests.refuse(record.digest, "withdrawn", said)
            self._runner.withdrawn(record.digest)
        return decision

    def _take_back(self, record: RequestRecord, decision: str, reason: str) -> Approval:
        return Approval.sign(
            self._identity.sign,
            digest=bytes.fromhex(record.digest),
            decision=decision,
            node_id=self._identity.node_id,
            time=self._store.now(),
            reason=plain(reason, _MAX_REASON),
        )

    # what the coordinator shows

    def consider(self, documents: Documents, policy: Policy) -> bool:
        """Judge a request that is shown for the first time; False when it is known or there is no room."""
        known = self._store.requests.get(documents.digest)
        if known is not None and known.manifest:
            return False
        if known is None and not self._room():
            return False
        self._judge(documents, policy)
        return True

    def refuse(self, digest: str, refusal: Refusal) -> None:
        """Take no part in a ceremony that should start, and say so."""
        _log_refusal(digest, refusal)
        self._store.log(refusal.code, f"request {digest}: {refusal.message}")
        if self._store.requests.get(digest) is not None:
            self._store.requests.refuse(digest, refusal.code, refusal.message)
        elif self._room():
            self._save(digest, _UNREAD, REFUSED, refusal)

    def review(self, policy: Policy) -> None:
        """Judge refused requests again when the rules, pins or anchors have changed, or a delay is over."""
        seen = f"{policy.fingerprint} {self._store.pins.revision()} {self._store.anchors.revision()}"
        changed, self._seen = seen != self._seen, seen
        if not self._store.requests.any_refused():
            return
        for record in self._store.requests.all():
            if record.verdict != REFUSED or not record.manifest or record.attempt:
                continue
            if changed or (record.code == DELAYED and self._is_due(record, policy)):
                self._judge(record.documents(), policy)

    def _is_due(self, record: RequestRecord, policy: Policy) -> bool:
        """Whether the delay of the rule that fits is over (R17)."""
        try:
            rule = policy.rule_for(Intent.parse(record.intent.encode()))
        except Refusal:
            return True
        return self._store.now() >= self._checks.due_at(record.digest, rule)

    def _room(self) -> bool:
        """Whether another request may be stored: a hostile coordinator must not fill the disk."""
        requests = self._store.requests
        if len(requests.open_digests()) < MAX_OPEN_REQUESTS and requests.kept_bytes() < MAX_KEPT_BYTES:
            return True
        log.warning("event=too_many_requests limit=%d bytes=%d", MAX_OPEN_REQUESTS, MAX_KEPT_BYTES)
        return False

    def _judge(self, documents: Documents, policy: Policy) -> None:
        digest = documents.digest
        own = self._store.requests.own_decision(digest, self._identity.node_id)
        try:
            checked = self._checks.request(documents, policy)
            if own is not None and own.decision == REJECT:
                raise Refusal("rejected", "the operator of this node rejected the request")  # R13
            shown = readable_decisions(documents.decisions)
            self._checks.keep_rejections(
                checked.manifest, checked.source_manifest, checked.digest, shown.by_node, shown.by_passkey
            )
        except Refusal as refusal:
            self._store.log(refusal.code, f"request {digest}: {refusal.message}")
            self._save(digest, documents, REFUSED, refusal)
            _log_refusal(digest, refusal)
            return
        verdict = NOTICE if not checked.voter else AUTO if checked.automatic else ASK
        with self._store.database.transaction():
            self._save(digest, documents, verdict)
            if verdict == AUTO and own is None:
                self._approve(checked, RULE)
            if verdict == NOTICE:
                intent = checked.intent
                self._store.log(
                    f"{intent.type.lower()}_notice",
                    f"request {digest}: a {intent.type} of vault {intent.vault_id} leaves this node without a"
                    " vote; if you do not agree, tell the other holders at once (R17)",
                )
        log.info(
            "event=request request=%s type=%s digest=%s verdict=%s",
            checked.intent.request_id,
            checked.intent.type,
            digest[:16],
            verdict,
        )

    def _approve(self, checked: CheckedRequest, origin: str) -> Approval:
        known = self._store.requests.own_decision(checked.digest.hex(), self._identity.node_id)
        if known is not None:
            return known
        approval = Approval.sign(
            self._identity.sign,
            digest=checked.digest,
            decision=APPROVE,
            node_id=self._identity.node_id,
            # A clock that is a little slow must not make an approval older than the request.
            time=max(self._store.now(), checked.intent.not_before),
        )
        self._store.requests.add_decision(approval, origin)
        return approval

    def _save(self, digest: str, documents: Documents, verdict: str, refusal: Refusal | None = None) -> None:
        """Keep a request and what this node makes of it."""
        known = self._store.requests.get(digest)
        kept, request_id, vault_id, group_id = documents, "", "", ""
        try:
            intent = Intent.parse(documents.intent.encode())
            request_id, vault_id, group_id = intent.request_id, intent.vault_id, intent.target.group_id
            Manifest.parse(documents.manifest.encode())
        except (CanonicalError, WireError):
            kept = _UNREAD  # nobody can approve what does not parse, so its text is not kept
        self._store.requests.save(
            RequestRecord(
                digest=digest,
                request_id=request_id,
                vault_id=vault_id,
                group_id=group_id,
                intent=kept.intent,
                manifest=kept.manifest,
                source_manifest=kept.source_manifest,
                policy=kept.policy,
                new_policy=kept.new_policy,
                proofs=kept.proofs(),
                verdict=verdict,
                code=refusal.code if refusal else "",
                message=refusal.message if refusal else "",
                received_at=known.received_at if known and known.manifest else self._store.now(),
            )
        )


def _log_refusal(digest: str, refusal: Refusal) -> None:
    log.warning(
        "event=refused digest=%s code=%s detail=%s", digest[:16], refusal.code, plain(refusal.message, 500)
    )
