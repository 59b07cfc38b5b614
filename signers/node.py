"""The signer node: its operator's decisions, and the exchange with the coordinator that carries them out."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from mpc.errors import MPCError
from signers import audit_watch, cards
from signers.answers import Answer, Start
from signers.checks import CheckedRequest, Checks
from signers.database import open_database
from signers.decisions import Decisions
from signers.errors import NodeError, Refusal, plain
from signers.following import Following
from signers.identity import Identity
from signers.outbox import CARD_DELIVERED, Outbox, undelivered_card
from signers.outcome import HeldKey, held_key
from signers.policy import EMPTY, Policy, load_policy
from signers.requests import RequestRecord
from signers.runner import Runner
from signers.sealing import DataKey, KdfCost, Keyring, Secret
from signers.sessions import MAX_SESSIONS, RUNNING
from signers.store import Store
from signers.transport import BackOff, HttpTransport, Transport, TransportError, check_url
from wire.anchor import Anchor
from wire.approval import Approval
from wire.credential import Credential
from wire.identity import HolderCard

log = logging.getLogger("quorate.node")

LONG_POLL_MS = 25_000
# While a refused request is open, its operator may be about to pin or to change the policy.
_SHORT_POLL_MS = 3_000


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
        self.decisions = Decisions(store, self.identity, self.checks, self.runner)
        self.following = Following(store, self.checks, self.decisions, self.identity.node_id)
        self._policy_path = state_dir / "policy.toml"
        self._policy: Policy | None = None
        self._transport = transport
        self._url = ""

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
            self.store.set_setting(CARD_DELIVERED, str(self.store.card().version))
        return answer.name

    def add_passkey(self, credential: Credential) -> HolderCard:
        """The operator puts a passkey on the card (R7). Raises NodeError (see signers.cards)."""
        return self._change_card(cards.with_passkey(self.store.card(), credential, self.identity))

    def remove_passkey(self, fingerprint: str) -> HolderCard:
        """The operator takes a passkey off the card. fingerprint: in hex, or its beginning."""
        return self._change_card(cards.without_passkey(self.store.card(), fingerprint, self.identity))

    def set_method(self, method: str) -> HolderCard:
        """The operator says how this holder's votes are given: node, passkey or both."""
        return self._change_card(cards.with_method(self.store.card(), method, self.identity))

    def _change_card(self, card: HolderCard) -> HolderCard:
        with self.store.database.transaction():
            self.store.replace_card(card)
            words = f"version {card.version}, method {card.method}, {len(card.credentials)} passkeys"
            self.store.log("card_changed", words)
        return card

    def pin_anchor(self, anchor: Anchor, *, checked_how: str, pinned_by: str) -> None:
        """The operator pins a vault's anchor that another holder exported (R6). Raises NodeError
        anchor_known."""
        self.store.anchors.pin(
            anchor,
            checked_how=checked_how,
            pinned_by=pinned_by,
            pinned_at=self.store.now(),
            data_key=self.data_key,
        )

    def anchor(self, vault_id: str) -> Anchor:
        """What this node knows of a vault, to give to a node that joins it. Raises NodeError no_anchor."""
        record = self.store.anchors.get(vault_id, self.data_key)
        if record is None:
            raise NodeError("no_anchor", f"this node does not know vault {vault_id}")
        return record.anchor

    def check(self, record: RequestRecord) -> CheckedRequest:
        """Every check once more, now. Raises Refusal."""
        return self.decisions.check(record, self.policy())

    def approve(self, record: RequestRecord) -> Approval:
        """The operator approves; deliver it with `sync_once` or leave it to the running node."""
        return self.decisions.approve(record, self.policy())

    def reject(self, record: RequestRecord, reason: str) -> Approval:
        """The operator rejects (R13)."""
        return self.decisions.reject(record, reason)

    def withdraw(self, record: RequestRecord, reason: str) -> Approval:
        """The operator takes the approval back (R13)."""
        return self.decisions.withdraw(record, reason)

    def keys(self) -> list[HeldKey]:
        """The keys of which this node holds certified shares, from its own store (R3)."""
        return [
            held_key(record, self.identity.node_id, self.data_key) for record in self.store.shares.active()
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
        """Send what the operator decided or changed, and nothing else: the running node does the rest. Raises
        TransportError."""
        decisions = tuple(self.store.requests.undelivered_decisions())
        outbox = Outbox(decisions=decisions, cards=undelivered_card(self.store))
        answer = self.transport.sync(outbox.body(self.store), 0)
        outbox.settle(self.store, answer)
        refused = [error for error in answer.errors if error.item.startswith(("decisions[", "cards["))]
        if refused:
            raise TransportError(refused[0].code, refused[0].message)

    def sync_once(self, wait_ms: int) -> bool:
        """One exchange with the coordinator; True when it brought this node forward. Raises
        TransportError."""
        self.decisions.review(self._current_policy())
        self.runner.enforce_deadlines()
        self.runner.erase_due()
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
        # First: what a certificate retires is named by its request, which `closed` may forget (R26).
        moved = self.runner.known_certificates(answer.certificates)
        # Before `closed` too: a rejection that ended the request binds this node for ever (R13).
        moved = self.following.take(answer.passkeys) or moved
        moved = self.following.follow(policy) or moved
        for digest, state in answer.closed:
            self.store.requests.close(digest, state)
            self.store.passkeys.forget_refused(digest)
            moved = True
        for messages in answer.messages:
            moved = self._report(messages.session_id, self.runner.receive(messages)) or moved
        for abort in answer.aborts:
            moved = self._report(abort.session_id, self.runner.peer_abort(abort)) or moved
        for ended in answer.ended:
            if self.runner.ended(ended):
                session, state = ended.session_id[:16], plain(ended.state)
                log.info("event=ceremony_ended session=%s state=%s", session, state)
                moved = True
        for presented in answer.requests:
            moved = self.decisions.consider(presented.documents, policy) or moved
        for start in answer.starts:
            moved = self._start(start, policy) or moved
        self._watch_audit(answer)
        return moved

    def _watch_audit(self, answer: Answer) -> None:
        if answer.audit is None:
            return
        identity, time = self.identity, self.store.now()
        with self.store.database.transaction():
            word = audit_watch.consider(
                self.store.audit_words, answer.audit, node_id=identity.node_id, sign=identity.sign, time=time
            )
            if word is not None and word.verdict in audit_watch.ALARMS:
                message = f"{audit_watch.ALARMS[word.verdict]}: row {word.checkpoint.sequence}"
                self.store.log(word.verdict, message)
                log.error("event=%s sequence=%d detail=%s", word.verdict, word.checkpoint.sequence, message)

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
        digest = start.documents.digest
        if self.store.sessions.get(start.session_id) is not None:
            return False
        if len(self.store.sessions.listed()) >= MAX_SESSIONS:
            log.warning("event=too_many_sessions limit=%d", MAX_SESSIONS)
            return False
        try:
            self.runner.start(start, policy)
        except Refusal as refusal:
            self.decisions.refuse(digest, refusal)
            return False
        except MPCError as error:
            # A request that no protocol can run is refused like any other; it must not end the node.
            self.decisions.refuse(digest, Refusal("bad_session", str(error)))
            return False
        log.info("event=session_started session=%s attempt=%d", start.session_id[:16], start.attempt)
        return True

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
