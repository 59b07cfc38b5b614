"""Drives ceremonies: from the checked request to the final certificate, one durable step at a time.

A step reads what the other participants sent, lets the protocol advance, and writes new state, outgoing bytes
and the pending share in one transaction (R23); only then is anything sent. A node that is killed at any point
goes on from the last transaction with the same bytes.

Until it signs `prepared` a node leaves on any fault. From then on the set may become final with or without
it: the session then waits, as long as it takes, for messages, for the certificate, or for another attempt
before which the node abandons the set (R26).
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mpc.certificate import Certificate
from mpc.dealing import Dealing
from mpc.dealing_messages import ROUND_DEAL, ROUND_HELLO
from mpc.errors import MPCError, ProtocolAbort
from mpc.keyshare import KeyShare
from mpc.protocol import Step
from mpc.session import SessionContext
from signers import set_rules
from signers.answers import Ended, PeerAbort, RoundMessages, Start
from signers.ceremonies import Ceremonies, Ceremony, index_of
from signers.checks import CheckedRequest, Checks
from signers.database import STORAGE_FAILED
from signers.errors import NodeError, Refusal, SessionAbort, plain
from signers.hello import Hello
from signers.identity import Identity
from signers.inbox import Equivocation, open_abort, open_round
from signers.outcome import expected_keys, open_share
from signers.policy import Policy
from signers.sealing import DataKey
from signers.sessions import ABORTED, GOES_ON, RUNNING, SessionRecord
from signers.set_rules import ACTIVATED, PREPARED
from signers.settle import Settlement, usable_share
from signers.shares import ShareRecord, share_place
from signers.store import Store
from signers.witness import keep_evidence, keep_fault
from wire.abort import Abort
from wire.canonical import CanonicalError
from wire.envelope import ABORT, Envelope
from wire.fields import WireError
from wire.intent import KEY_GEN

DEADLINE_MS = 10 * 60 * 1000  # R15
_MAX_TEXT, _MAX_ABORT_TEXT = 500, 400


class Runner:
    """The ceremonies of one unlocked node. One thread uses it at a time."""

    def __init__(self, store: Store, identity: Identity, data_key: DataKey, checks: Checks) -> None:
        self._store = store
        self._identity = identity
        self._data_key = data_key
        self._checks = checks
        self._ceremonies = Ceremonies(store, identity, data_key)
        self._settlement = Settlement(store, identity, data_key, self._ceremonies)
        self._hello = Hello(store, checks, self._ceremonies, self._settlement)

    # starting

    def start(self, start: Start, policy: Policy) -> None:
        """Check everything and write the first message of an attempt. Raises Refusal."""
        record = self._store.requests.get(start.documents.digest)
        checked, context = self._checks.start(record, start, policy)
        if context.session_id().hex() != start.session_id:
            raise Refusal("session_id_mismatch", "the session id does not follow from the request (R20)")
        ceremony = self._ceremony(checked, context)
        self._make_room(ceremony)
        began = time.perf_counter_ns()
        machine, step = Dealing.start(
            context,
            ceremony.index,
            self._identity.sign,
            source=ceremony.statement,
            share=self._own_share(ceremony),
            notes=self._hello.notes(ceremony),
        )
        sealed = self._ceremonies.seal(ceremony, machine)
        now = self._store.now()
        with self._store.database.transaction():
            # R13: once more, for the command line may have rejected meanwhile; later it ends the session.
            self._checks.keep_rejections(checked.manifest, checked.source_manifest, checked.digest)
            if not self._store.requests.enter_attempt(context.digest.hex(), start.attempt):  # R20
                raise Refusal("stale_attempt", "this node already entered this attempt or a later one")
            self._store.sessions.create(
                SessionRecord(
                    session_id=start.session_id,
                    digest=context.digest.hex(),
                    vault_id=checked.intent.vault_id,
                    attempt=start.attempt,
                    dealers=start.dealers,
                    state=RUNNING,
                    round=machine.round,
                    sealed=sealed,
                    started_at=now,
                    compute_us=_micros_since(began),
                )
            )
            self._ceremonies.queue(start.session_id, ceremony, step)
        ceremony.machine = machine
        self._ceremonies.remember(start.session_id, ceremony)

    def _ceremony(self, checked: CheckedRequest, context: SessionContext) -> Ceremony:
        return Ceremony(
            checked.intent,
            checked.manifest,
            checked.source_manifest,
            checked.source,
            context,
            index_of(context, self._identity.node_id),
        )

    def _own_share(self, ceremony: Ceremony) -> KeyShare | None:
        """The share that this node deals."""
        source = ceremony.intent.source
        if source is None or not ceremony.deals:
            return None
        record = usable_share(self._store, source.group_id, source.certificate_hash)
        if record is None:
            raise Refusal("no_share", "this node is to deal, and has no share of the source set")
        return open_share(record, self._identity.node_id, self._data_key)

    def _make_room(self, ceremony: Ceremony) -> None:
        """Leave what cannot go on beside the new attempt (R24, R26). Raises Refusal."""
        target = ceremony.intent.target
        held = self._store.shares.of_group(target.group_id)
        fresh = ceremony.intent.type == KEY_GEN
        if not set_rules.may_start(held, target.group_id, target.epoch, fresh=fresh):
            raise Refusal(
                "group_has_key" if fresh else "target_superseded",
                "this node already activated shares of this group: make a new group"
                if fresh
                else f"this node already holds a final set of this group of epoch {target.epoch} or later",
            )
        with self._store.database.transaction():
            older = self._store.sessions.running_in_vault(ceremony.intent.vault_id)
            if older is not None:
                self._step_aside(older, "superseded", "a later attempt started")
            for session_id in self._ceremonies.to_abandon(ceremony):
                self._settlement.abandon(session_id)

    def _step_aside(self, record: SessionRecord, code: str, message: str) -> None:
        """End a session, or let it wait when it is bound; in the caller's transaction."""
        if self._ceremonies.stage(record) in (PREPARED, ACTIVATED):
            self._store.sessions.wait(record.session_id, code, message)
        else:
            self._store.sessions.leave(record.session_id, ABORTED, code, message)
            self._ceremonies.forget(record.session_id)

    # advancing

    def receive(self, messages: RoundMessages) -> bool:
        """Process a round's messages; True when the session moved or ended. Faults end it with a signed
        ABORT while it is not bound."""
        record = self._store.sessions.get(messages.session_id)
        if record is None or record.state not in GOES_ON:
            return False
        try:
            return self._receive(record, messages)
        except ProtocolAbort as error:
            return self._fault(record, SessionAbort(error.code, error.detail, error.index))
        except SessionAbort as error:
            keep_evidence(self._store, record, error)
            return self._fault(record, error)
        except (MPCError, NodeError) as error:
            # A refusal that became due, or own state that does not open.
            message = error.message if isinstance(error, NodeError) else str(error)
            return self._fault(record, SessionAbort(error.code, message), own=True)
        except BaseException:
            # Memory may be ahead of the store: forget it, the store is the truth (R23).
            self._ceremonies.forget(record.session_id)
            raise

    def _receive(self, record: SessionRecord, messages: RoundMessages) -> bool:
        # Here too: between two exchanges the machine may have slept for hours (R15).
        self._check_deadline(record)
        ceremony = self._ceremonies.of(record)
        if messages.round > record.round:
            return False
        envelopes = open_round(messages.envelopes, ceremony.context, ceremony.index, messages.round)
        if messages.round < record.round:
            self._check_replay(record, envelopes)
            return False
        if len(envelopes) < ceremony.context.size - 1:
            return False
        began = time.perf_counter_ns()
        machine = self._ceremonies.machine(record, ceremony)
        try:
            step = machine.receive({sender: envelope.body for sender, envelope in envelopes.items()})
        except ProtocolAbort as error:
            keep_fault(self._store, record, error, envelopes)
            raise
        if record.round == ROUND_HELLO:
            self._hello.check(ceremony, machine)
        pending = self._pending(record, ceremony, step)
        sealed = self._ceremonies.seal(ceremony, machine)
        with self._store.database.transaction():
            moved = self._store.sessions.advance(
                record.session_id,
                from_round=record.round,
                to_round=machine.round,
                sealed=sealed,
                compute_us=_micros_since(began),
            )
            if not moved:
                # The command line ended it meanwhile.
                self._ceremonies.forget(record.session_id)
                return False
            self._store.sessions.keep_incoming(record.session_id, envelopes.values())
            if pending is not None:
                self._store.shares.add(pending)
            elif step.certificate is not None:
                self._settlement.adopt(record, ceremony, step.certificate)
                self._store.sessions.finish(record.session_id, machine.round)
            elif self._store.shares.of_session(record.session_id) is not None:
                self._activate(ceremony, record.session_id)
            self._ceremonies.queue(record.session_id, ceremony, step)
        if step.certificate is not None:
            self._ceremonies.forget(record.session_id)
        return True

    def _activate(self, ceremony: Ceremony, session_id: str) -> None:
        """All prepared signatures are here, and the message that is queued next says `activated` (R25)."""
        held = self._store.shares.of_group(ceremony.intent.target.group_id)
        if not set_rules.may_activate(held, session_id):
            raise SessionAbort("set_superseded", "this node has gone on to another set of the group")
        self._store.shares.set_activated(session_id)

    def _check_replay(self, record: SessionRecord, envelopes: Mapping[int, Envelope]) -> None:
        """An old message again is harmless; another one for the same slot is evidence against its sender
        (R22)."""
        for sender, envelope in envelopes.items():
            kept = self._store.sessions.incoming(record.session_id, envelope.round, sender)
            if kept is None:
                continue
            first = Envelope.parse(kept)
            if first.signed_bytes() != envelope.signed_bytes():
                raise Equivocation(first, envelope)

    def _pending(self, record: SessionRecord, ceremony: Ceremony, step: Step) -> ShareRecord | None:
        """The checks before `prepared`, and the share to store with it. Raises Refusal, SessionAbort."""
        share, target = step.pending, ceremony.intent.target
        if record.round != ROUND_DEAL or (share is None and ceremony.receives):
            return None  # not this round, or the message is a complaint
        self._checks.check_time(ceremony.intent)  # R15: once more before `prepared`
        held = self._store.shares.of_group(target.group_id)
        if not set_rules.may_prepare(held, target.group_id, target.epoch, self._hello.void(ceremony)):
            raise SessionAbort("set_superseded", "this node has another set of this group by now")
        if share is None:
            return None
        if share.statement.context != ceremony.context or share.index != ceremony.index:
            raise SessionAbort("bad_result", "the share that came out is not one of this session")
        if ceremony.intent.expected and expected_keys(share.statement) != ceremony.intent.expected:
            raise SessionAbort("key_mismatch", "the new set is of another root key or chain code")  # N11
        share.verify()
        draft = ShareRecord(
            group_id=target.group_id,
            epoch=ceremony.context.epoch,
            digest=record.digest,
            attempt=record.attempt,
            session_id=record.session_id,
            base=ceremony.context.previous_certificate_hash,
            state=PREPARED,
            number=0,
            vault_id=record.vault_id,
            domain=ceremony.context.domain,
            role=ceremony.context.role,
            sealed=b"",
        )
        place = share_place(draft, self._identity.node_id)
        return replace(draft, sealed=self._data_key.seal(place, share.encode()))

    # faults

    def _fault(self, record: SessionRecord, reason: SessionAbort, *, own: bool = False) -> bool:
        """End the session, unless the node is bound by what it signed. own: a fault of this node itself.

        Bytes that nobody signed cannot undo a `prepared` signature, and nothing undoes `activated` (R26).
        """
        self._ceremonies.forget(record.session_id)
        stage = self._ceremonies.stage(record)
        if stage and reason.code == STORAGE_FAILED:
            raise reason  # a disk can be freed; what the node is bound by is written already
        if stage == ACTIVATED or (stage == PREPARED and not reason.blamed and not own):
            if self._store.sessions.note(record.session_id, reason.code, reason.message[:_MAX_TEXT]):
                self._store.log(reason.code, f"session {record.session_id} goes on: {reason.message}")
            return False
        self.abort(record, reason)
        return True

    # ending

    def ended(self, ended: Ended) -> bool:
        """The coordinator says that a session is over. A certificate is believed once it verifies, nothing
        else is: without one, a bound session waits. True when something changed."""
        record = self._store.sessions.get(ended.session_id)
        if record is None:
            return False
        goes_on = record.state in GOES_ON
        bound = goes_on and self._ceremonies.stage(record) in (PREPARED, ACTIVATED)
        code, message = f"ended_{ended.state}", ended.reason[:_MAX_TEXT]
        if goes_on and ended.certificate:
            try:
                self._settlement.conclude(record, Certificate.parse(ended.certificate))
                bound = False
            except (MPCError, NodeError) as error:
                code, message = "bad_certificate", str(error)[:_MAX_TEXT]
                if record.code != code:
                    self._store.log(code, f"session {ended.session_id}: {error}")
        self._ceremonies.forget(ended.session_id)
        if bound:
            return self._store.sessions.wait(ended.session_id, code, message)
        with self._store.database.transaction():
            self._store.sessions.close(ended.session_id, code, message)
        return True

    def peer_abort(self, abort: PeerAbort) -> bool:
        """Another participant left: the ceremony cannot go on without it. True when a running session ended
        or waits from now on."""
        record = self._store.sessions.get(abort.session_id)
        if record is None or record.state != RUNNING:
            return False
        try:
            ceremony = self._ceremonies.of(record)
            envelope = open_abort(abort.envelope, ceremony.context, ceremony.index)
            said = Abort.parse(envelope.body)
        except (NodeError, MPCError, CanonicalError, WireError) as error:
            self._store.log("bad_abort", f"session {abort.session_id}: {error}")
            return False
        message = plain(f"participant {envelope.sender} left: {said.code}: {said.message}")
        with self._store.database.transaction():
            self._step_aside(record, "peer_aborted", message[:_MAX_TEXT])
        return True

    def reject(self, digest: str, reason: str) -> None:
        """The operator rejects: the ceremonies of this request end here and now (R13)."""
        self._take_back(digest, SessionAbort("rejected", f"the operator of this node rejected: {reason}"))

    def withdrawn(self, digest: str) -> None:
        """The operator takes its approval back (R13)."""
        self._take_back(digest, SessionAbort("withdrawn", "the operator of this node took its approval back"))

    def _take_back(self, digest: str, reason: SessionAbort) -> None:
        for record in self._store.sessions.going_on():
            if record.digest == digest:
                self._fault(record, reason, own=True)

    def abort(self, record: SessionRecord, reason: SessionAbort) -> None:
        """Leave a session, tell the others, and keep a note of why; a prepared set is abandoned."""
        ceremony = self._ceremonies.of(record)
        message = reason.message[:_MAX_TEXT]
        body = Abort(reason.code[:64], reason.message[:_MAX_ABORT_TEXT], reason.blamed).encode()
        with self._store.database.transaction():
            stage = self._ceremonies.stage(record)
            if self._store.sessions.leave(record.session_id, ABORTED, reason.code, message):
                self._store.log(
                    reason.code, f"session {record.session_id} round {record.round}: {reason.message}"
                )
                if stage == PREPARED:
                    self._settlement.abandon(record.session_id)
                # Whoever left says nothing else: an unsent `prepared` is of no use to anybody (R13).
                self._store.sessions.withdraw(record.session_id)
                self._ceremonies.send(record.session_id, ceremony, type=ABORT, round=record.round, body=body)
        self._ceremonies.forget(record.session_id)

    def enforce_deadlines(self) -> None:
        """Stop what runs longer than a ceremony may (R15), by this node's own clock from its own start."""
        for record in self._store.sessions.going_on():
            if record.state == RUNNING and self._store.now() - record.started_at > DEADLINE_MS:
                if self._ceremonies.stage(record) in (PREPARED, ACTIVATED):
                    self._store.sessions.wait(record.session_id, "deadline", "not over within 10 minutes")
                else:
                    self.abort(record, _too_late())

    def _check_deadline(self, record: SessionRecord) -> None:
        # Whoever is bound goes on however late the messages come.
        if self._store.now() - record.started_at > DEADLINE_MS and not self._ceremonies.stage(record):
            raise _too_late()

    # share sets

    def erase_due(self) -> bool:
        """Wipe the shares whose grace is over (R26)."""
        return self._settlement.erase_due()

    def known_certificates(self, certificates: Iterable[bytes]) -> bool:
        """Final certificates that the coordinator shows unasked (R26, R30); True when something came of
        it."""
        return self._settlement.known_certificates(certificates)


def _too_late() -> SessionAbort:
    return SessionAbort("deadline", "the ceremony did not end within 10 minutes")


def _micros_since(began: int) -> int:
    return (time.perf_counter_ns() - began) // 1000
