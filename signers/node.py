"""The signer node: its operator's decisions, and the exchange with the coordinator that carries them out."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mpc.errors import MPCError
from signers.answers import Answer, PresentedRequest, Start
from signers.checks import CheckedRequest, Checks
from signers.database import open_database
from signers.errors import NodeError, Refusal, plain
from signers.identity import Identity
from signers.outbox import Outbox
from signers.outcome import HeldKey, held_key
from signers.policy import AUTO, EMPTY, Policy, load_policy
from signers.requests import ASK, MAX_OPEN_REQUESTS, OPERATOR, REFUSED, RULE, RequestRecord
from signers.runner import Runner
from signers.sealing import DataKey, KdfCost, Keyring, Secret
from signers.sessions import MAX_SESSIONS, RUNNING
from signers.store import Store
from signers.transport import BackOff, HttpTransport, Transport, TransportError, check_url
from wire.approval import APPROVE, REJECT, Approval
from wire.canonical import CanonicalError, Json
from wire.fields import WireError
from wire.intent import KeyGenIntent, intent_digest

log = logging.getLogger("quorate.node")

LONG_POLL_MS = 25_000
# While a refused request is open, its operator may be about to pin or to change the policy.
_SHORT_POLL_MS = 3_000
_MAX_REASON = 500


def create_node(store: Store, secret: Secret, kind: str, cost: KdfCost | None = None) -> Identity:
    """Make a new identity in an empty store, its secrets sealed under `secret`. kind: api or service."""
    if store.initialised:
        raise NodeError("already_initialised", "this folder already holds a node")
    identity = Identity.generate()
    keyring = Keyring.create(secret, cost=cost)
    store.create_identity(identity.card(kind), identity.sealed(keyring.unlock(secret)), keyring)
    return identity


def open_store(state_dir: Path, database_url: str = "") -> Store:
    return Store(open_database(state_dir, database_url))


class Node:
    """An unlocked node."""

    def __init__(
        self, store: Store, data_key: DataKey, state_dir: Path, transport: Transport | None = None
    ) -> None:
        self.store = store
        self.data_key = data_key
        self.identity = Identity.open(data_key, *store.sealed_identity())
        self.checks = Checks(store, data_key)
        self.runner = Runner(store, self.identity, data_key, self.checks)
        self._policy_path = state_dir / "policy.toml"
        self._policy: Policy | None = None
        self._rules_seen = ""
        self._transport = transport
        self._url = ""
        # R26: what this node activated may have been certified without it: ask again after each start.
        store.sessions.ask_again()

    @classmethod
    def unlock(
        cls, store: Store, secret: Secret, state_dir: Path, transport: Transport | None = None
    ) -> "Node":
        """Raises NodeError: not_initialised, wrong_password and others of Keyring.unlock and DataKey.open."""
        return cls(store, store.keyring().unlock(secret), state_dir, transport)

    # operator

    def policy(self) -> Policy:
        """The local rules as they are on disk now. Raises NodeError (see load_policy)."""
        # R11: the address that this process talks to, whatever was enrolled since.
        return load_policy(self._policy_path, self._url or self.store.setting("coordinator"))

    def enrol(self, url: str, code: str) -> str:
        """Introduce this node to a coordinator with a one-time code; the name that it goes by there."""
        url = check_url(url)
        transport = HttpTransport(url, self.identity.node_id, self.identity.sign)
        answer = transport.enrol(code, self.store.card())
        with self.store.database.transaction():
            self.store.set_setting("coordinator", url)
            self.store.set_setting("organisation_id", answer.organisation_id)
        return answer.name

    def check(self, record: RequestRecord) -> CheckedRequest:
        """Every check once more, now. Raises Refusal."""
        return self.checks.request(record.intent, record.manifest, record.policy, self.policy())

    def approve(self, record: RequestRecord) -> Approval:
        """The operator approves; deliver it with `sync_once` or leave it to the running node."""
        checked = self.check(record)
        self.checks.keep_rejections(checked.manifest, checked.digest, ())
        with self.store.database.transaction():
            # A refusal that the operator has put right since is not reported any more.
            self.store.requests.save(replace(record, verdict=ASK, code="", message=""), self.store.now())
            return self._decide(checked, OPERATOR)

    def reject(self, record: RequestRecord, reason: str) -> Approval:
        """The operator rejects: binds this node at once and for ever (R13), whatever state the request is
        in."""
        digest = bytes.fromhex(record.digest)
        decision = Approval.sign(
            self.identity.sign,
            digest=digest,
            decision=REJECT,
            node_id=self.identity.node_id,
            time=self.store.now(),
            reason=plain(reason, _MAX_REASON),
        )
        with self.store.database.transaction():
            self.store.requests.add_decision(decision, OPERATOR)
            self.store.requests.refuse(
                record.digest, "rejected", "the operator of this node rejected the request"
            )
            self.runner.reject(record.digest, reason)
        return decision

    def keys(self) -> list[HeldKey]:
        """The keys of which this node holds certified shares, from its own store (R3)."""
        return [
            held_key(record, self.identity.node_id, self.data_key) for record in self.store.shares.final()
        ]

    # exchange

    @property
    def transport(self) -> Transport:
        if self._transport is None:
            url = self.store.setting("coordinator")
            if not url:
                raise NodeError("not_enrolled", "this node knows no coordinator yet: run enrol")
            self._transport, self._url = HttpTransport(url, self.identity.node_id, self.identity.sign), url
        return self._transport

    def deliver(self) -> None:
        """Send what the operator decided, and nothing else: the running node does the rest. Raises
        TransportError."""
        outbox = Outbox(decisions=tuple(self.store.requests.undelivered_decisions()))
        answer = self.transport.sync(outbox.body(self.store), 0)
        outbox.settle(self.store, answer)
        refused = [error for error in answer.errors if error.item.startswith("decisions[")]
        if refused:
            raise TransportError(refused[0].code, refused[0].message)

    def sync_once(self, wait_ms: int) -> bool:
        """One exchange with the coordinator; True when it brought this node forward. Raises
        TransportError."""
        self._review(self._current_policy())
        self.runner.enforce_deadlines()
        outbox = Outbox.collect(self.store)
        if outbox.more:
            wait_ms = 0
        elif self.store.requests.any_refused():
            wait_ms = min(wait_ms, _SHORT_POLL_MS)
        answer = self.transport.sync(outbox.body(self.store), wait_ms)
        settled = outbox.settle(self.store, answer)
        # Read again: the operator may have tightened the rules during the long poll.
        return self._process(answer, self._current_policy()) or settled

    def run_until_idle(self, wait_ms: int = 2_000, patience_s: float = 60.0) -> None:
        """Exchange until there is nothing to do, or a ceremony has not moved for `patience_s`.

        Raises TransportError.
        """
        moved_at = time.monotonic()
        while True:
            waiting = any(record.state == RUNNING for record in self.store.sessions.listed())
            if self.sync_once(wait_ms if waiting else 0):
                moved_at = time.monotonic()
            elif not waiting or time.monotonic() - moved_at > patience_s:
                return

    def run(self, pause: Callable[[float], None]) -> None:
        """Exchange for ever; calls that fail are repeated with growing pauses.

        Raises NodeError not_enrolled at once.
        """
        back_off = BackOff()
        _ = self.transport
        while True:
            began = time.monotonic()
            try:
                moved = self.sync_once(LONG_POLL_MS)
            except TransportError as error:
                seconds = back_off.next_pause()
                log.warning(
                    "event=call_failed code=%s retry_s=%.2f detail=%s",
                    error.code,
                    seconds,
                    plain(error.message),
                )
                pause(seconds)
                continue
            except NodeError as error:
                # The clock is behind (R15), or a pin was tampered with: nothing is done until that is put
                # right.
                log.error("event=stopped code=%s detail=%s", error.code, plain(error.message))
                pause(back_off.next_pause())
                continue
            if moved or time.monotonic() - began > 0.5:
                back_off.succeeded()
            else:
                # Answered at once with nothing new: do not spin, whatever the other side does.
                pause(back_off.next_pause())

    # what comes in

    def _process(self, answer: Answer, policy: Policy) -> bool:
        moved = False
        for digest, state in answer.closed:
            self.store.requests.close(digest, state)
            moved = True
        for messages in answer.messages:
            moved = self._report(messages.session_id, self.runner.receive(messages)) or moved
        for abort in answer.aborts:
            moved = self._report(abort.session_id, self.runner.peer_abort(abort)) or moved
        for ended in answer.ended:
            self.runner.ended(ended)
            log.info("event=ceremony_ended session=%s state=%s", ended.session_id[:16], plain(ended.state))
            moved = True
        for presented in answer.requests:
            moved = self._consider(presented, policy) or moved
        for start in answer.starts:
            moved = self._start(start, policy) or moved
        return moved

    def _report(self, session_id: str, moved: bool) -> bool:
        record = self.store.sessions.get(session_id)
        if moved and record is not None:
            log.info(
                "event=session session=%s state=%s round=%d code=%s detail=%s",
                session_id[:16],
                record.state,
                record.round,
                record.code or "ok",
                plain(record.message),
            )
        return moved

    def _start(self, start: Start, policy: Policy) -> bool:
        digest = intent_digest(start.intent.encode()).hex()
        if self.store.sessions.get(start.session_id) is not None:
            return False
        if len(self.store.sessions.listed()) >= MAX_SESSIONS:
            log.warning("event=too_many_sessions limit=%d", MAX_SESSIONS)
            return False
        try:
            self.runner.start(start, policy)
        except Refusal as refusal:
            self._refuse(digest, refusal)
            return False
        except MPCError as error:
            # A request that no protocol can run is refused like any other; it must not end the node.
            self._refuse(digest, Refusal("bad_session", str(error)))
            return False
        log.info("event=session_started session=%s attempt=%d", start.session_id[:16], start.attempt)
        return True

    def _refuse(self, digest: str, refusal: Refusal) -> None:
        log.warning(
            "event=refused digest=%s code=%s detail=%s",
            digest[:16],
            refusal.code,
            plain(refusal.message, 500),
        )
        self.store.log(refusal.code, f"request {digest}: {refusal.message}")
        if self.store.requests.get(digest) is not None:
            self.store.requests.refuse(digest, refusal.code, refusal.message)
        elif self._room():
            presented = PresentedRequest("", "", "", ())
            self.store.requests.save(_record(digest, presented, REFUSED, refusal), self.store.now())

    def _consider(self, presented: PresentedRequest, policy: Policy) -> bool:
        """A request that the coordinator shows for the first time."""
        digest = intent_digest(presented.intent.encode()).hex()
        known = self.store.requests.get(digest)
        if known is not None and known.manifest:
            return False
        if known is None and not self._room():
            return False
        self._judge(digest, presented, policy)
        return True

    def _room(self) -> bool:
        """Whether another request may be stored: a hostile coordinator must not fill the disk."""
        if len(self.store.requests.open_digests()) < MAX_OPEN_REQUESTS:
            return True
        log.warning("event=too_many_requests limit=%d", MAX_OPEN_REQUESTS)
        return False

    def _judge(self, digest: str, presented: PresentedRequest, policy: Policy) -> None:
        try:
            checked = self.checks.request(presented.intent, presented.manifest, presented.policy, policy)
            own = self.store.requests.own_decision(digest, self.identity.node_id)
            if own is not None and own.decision == REJECT:
                raise Refusal("rejected", "the operator of this node rejected the request")  # R13
            self.checks.keep_rejections(checked.manifest, checked.digest, _readable(presented.decisions))
        except Refusal as refusal:
            self.store.log(refusal.code, f"request {digest}: {refusal.message}")
            self.store.requests.save(_record(digest, presented, REFUSED, refusal), self.store.now())
            log.warning(
                "event=refused digest=%s code=%s detail=%s",
                digest[:16],
                refusal.code,
                plain(refusal.message, 500),
            )
            return
        automatic = checked.rule.action == AUTO
        with self.store.database.transaction():
            record = _record(digest, presented, AUTO if automatic else ASK)
            self.store.requests.save(record, self.store.now())
            if automatic and own is None:
                self._decide(checked, RULE)
        log.info(
            "event=request request=%s type=%s digest=%s verdict=%s",
            checked.intent.request_id,
            checked.intent.type,
            digest[:16],
            "approved by rule" if automatic else "waits for the operator",
        )

    def _decide(self, checked: CheckedRequest, origin: str) -> Approval:
        known = self.store.requests.own_decision(checked.digest.hex(), self.identity.node_id)
        if known is not None:
            return known
        approval = Approval.sign(
            self.identity.sign,
            digest=checked.digest,
            decision=APPROVE,
            node_id=self.identity.node_id,
            # A clock that is a little slow must not make an approval older than the request.
            time=max(self.store.now(), checked.intent.not_before),
        )
        self.store.requests.add_decision(approval, origin)
        return approval

    # local rules

    def _current_policy(self) -> Policy:
        """The rules on disk; a file that is not valid allows nothing until it is put right."""
        try:
            policy = self.policy()
        except NodeError as error:
            policy = EMPTY
            if self._policy != policy:
                log.error("event=policy_refused code=%s detail=%s", error.code, plain(error.message))
        if policy.demo and (self._policy is None or not self._policy.demo):
            log.warning(
                "event=demo_policy detail=DEMO: this node approves by itself what a person should (R11). "
                "Never use it with keys that matter."
            )
        self._policy = policy
        return policy

    def _review(self, policy: Policy) -> None:
        """Judge refused requests again when the rules or the pins have changed."""
        seen = f"{policy.fingerprint} {self.store.pins.revision()}"
        if seen == self._rules_seen:
            return
        self._rules_seen = seen
        for record in self.store.requests.all():
            if record.verdict == REFUSED and record.manifest and record.attempt == 0:
                presented = PresentedRequest(record.intent, record.manifest, record.policy, ())
                self._judge(record.digest, presented, policy)


def _record(
    digest: str, presented: PresentedRequest, verdict: str, refusal: Refusal | None = None
) -> RequestRecord:
    try:
        intent = KeyGenIntent.parse(presented.intent.encode())
    except (CanonicalError, WireError):
        # Nobody can approve what does not parse, so its text is not kept.
        return RequestRecord(digest, "", "", "", "", "", "", verdict, *_reason(refusal))
    return RequestRecord(
        digest,
        intent.request_id,
        intent.vault_id,
        intent.target.group_id,
        presented.intent,
        presented.manifest,
        presented.policy,
        verdict,
        *_reason(refusal),
    )


def _reason(refusal: Refusal | None) -> tuple[str, str]:
    return (refusal.code, refusal.message) if refusal else ("", "")


def _readable(decisions: tuple[Json, ...]) -> list[Approval]:
    """Those that parse; what does not is no decision."""
    found = []
    for item in decisions:
        try:
            found.append(Approval.from_json(item))
        except WireError:
            continue
    return found
