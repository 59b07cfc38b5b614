"""Drives ceremonies: from the checked request to the final certificate, one durable step at a time.

A step reads what the other participants sent, lets the protocol advance, and writes new state, outgoing bytes
and the pending share in one transaction (R23); only then is anything sent. A node that is killed at any point
goes on from the last transaction with the same bytes.
"""

import time
from dataclasses import dataclass, replace

from mpc.certificate import Certificate
from mpc.errors import MPCError, ProtocolAbort
from mpc.keygen import KeyGen
from mpc.keyshare import KeyShare
from mpc.protocol import Step
from mpc.session import SessionContext
from signers import outcome
from signers.answers import Ended, PeerAbort, RoundMessages, Start
from signers.checks import Checks
from signers.errors import NodeError, Refusal, SessionAbort, plain
from signers.identity import Identity
from signers.inbox import Equivocation, open_abort, open_round
from signers.policy import Policy
from signers.requests import SUCCEEDED
from signers.sealing import DataKey, Place
from signers.sessions import ABORTED, FINISHED, RUNNING, SessionRecord
from signers.shares import ACTIVATED, FINAL, PREPARED, ShareRecord, share_place
from signers.store import Store
from wire.abort import Abort
from wire.canonical import CanonicalError
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.fields import WireError
from wire.intent import KeyGenIntent, intent_digest
from wire.manifest import Manifest
from wire.notes import Notes, SetNote
from wire.session import key_gen_context

DEADLINE_MS = 10 * 60 * 1000  # R15
_MAX_ABORT_TEXT = 400


@dataclass
class _Live:
    """What a running session needs in memory; rebuilt from the store after a restart."""

    intent: KeyGenIntent
    manifest: Manifest
    context: SessionContext
    index: int
    machine: KeyGen | None = None


class Runner:
    """The ceremonies of one unlocked node. One thread uses it at a time."""

    def __init__(self, store: Store, identity: Identity, data_key: DataKey, checks: Checks) -> None:
        self._store = store
        self._identity = identity
        self._data_key = data_key
        self._checks = checks
        self._live: dict[str, _Live] = {}

    # starting

    def start(self, start: Start, policy: Policy) -> None:
        """Check everything and write the first message of an attempt. Raises Refusal."""
        record = self._store.requests.get(intent_digest(start.intent.encode()).hex())
        checked, context = self._checks.start(record, start, policy)
        if context.session_id().hex() != start.session_id:
            raise Refusal("session_id_mismatch", "the session id does not follow from the request (R20)")
        live = _Live(
            checked.intent, checked.manifest, context, checked.manifest.index_of(self._identity.node_id)
        )
        began = time.perf_counter_ns()
        machine, step = KeyGen.start(context, live.index, self._identity.sign, notes=self._notes(live))
        live.machine = machine
        sealed = self._seal(live, machine)
        now = self._store.now()
        with self._store.database.transaction():
            # R13: once more, for the command line may have rejected meanwhile; later it ends the session.
            self._checks.keep_rejections(checked.manifest, checked.digest, ())
            older = self._store.sessions.running_in_vault(checked.intent.vault_id)
            if older is not None:
                # The coordinator has moved on to another attempt of the same request.
                self._store.sessions.leave(older.session_id, ABORTED, "superseded", "a later attempt started")
                self._live.pop(older.session_id, None)
            if not self._store.requests.enter_attempt(context.digest.hex(), start.attempt):  # R20
                raise Refusal("stale_attempt", "this node already entered this attempt or a later one")
            self._store.sessions.create(
                SessionRecord(
                    session_id=start.session_id,
                    digest=context.digest.hex(),
                    vault_id=checked.intent.vault_id,
                    attempt=start.attempt,
                    state=RUNNING,
                    round=machine.round,
                    sealed=sealed,
                    started_at=now,
                    compute_us=(time.perf_counter_ns() - began) // 1000,
                )
            )
            self._queue(start.session_id, live, step)
        self._live[start.session_id] = live

    def _notes(self, live: _Live) -> bytes:
        # R13, R26: round 0 carries the decisions and the share sets that this node knows of.
        decisions = self._store.requests.decisions(live.context.digest.hex())
        held = self._store.shares.of_group(live.manifest.group_id)
        sets = (
            SetNote(share.epoch, share.attempt, bytes.fromhex(share.digest), share.state) for share in held
        )
        return Notes(tuple(decisions), tuple(sets)).encode()

    # advancing

    def receive(self, messages: RoundMessages) -> bool:
        """Process a round's messages; True when the session moved or ended. Faults end it with a signed
        ABORT."""
        record = self._store.sessions.get(messages.session_id)
        if record is None or record.state != RUNNING:
            return False
        try:
            return self._receive(record, messages)
        except ProtocolAbort as error:
            self.abort(record, SessionAbort(error.code, error.detail, error.index))
        except MPCError as error:
            self.abort(record, SessionAbort(error.code, str(error)))
        except NodeError as error:
            # A fault of the messages, a refusal that became due, or own state that does not open.
            if isinstance(error, Equivocation):
                self._store.sessions.keep_evidence(record.session_id, error.first, error.second)
            blamed = error.blamed if isinstance(error, SessionAbort) else 0
            if not blamed and self._is_activated(record):
                # R26: this node has promised to use the set, and others may hold the certificate already.
                # Bytes that nobody signed cannot undo that: it waits for good ones, or for the certificate.
                self._live.pop(record.session_id, None)
                self._store.log(error.code, f"session {record.session_id} goes on: {error.message}")
                return False
            self.abort(record, SessionAbort(error.code, error.message, blamed))
        except BaseException:
            # Memory may be ahead of the store: forget it, the store is the truth (R23).
            self._live.pop(record.session_id, None)
            raise
        return True

    def _receive(self, record: SessionRecord, messages: RoundMessages) -> bool:
        # Here too: between two exchanges the machine may have slept for hours (R15).
        self._check_deadline(record)
        live = self._context(record)
        if messages.round > record.round:
            return False
        envelopes = open_round(messages.envelopes, live.context, live.index, messages.round)
        if messages.round < record.round:
            self._check_replay(record, envelopes)
            return False
        if len(envelopes) < live.context.size - 1:
            return False
        began = time.perf_counter_ns()
        machine = live.machine = live.machine or self._load(record, live)
        step = machine.receive({sender: envelope.body for sender, envelope in envelopes.items()})
        if record.round == 0:
            self._check_notes(live, machine)
        share = self._pending(record, live, step)
        # A finished machine has no state left; its result is the share and the certificate.
        sealed = b"" if machine.finished else self._seal(live, machine)
        held = self._store.shares.of_session(record.session_id)
        with self._store.database.transaction():
            moved = self._store.sessions.advance(
                record.session_id,
                from_round=record.round,
                to_round=machine.round,
                sealed=sealed,
                compute_us=(time.perf_counter_ns() - began) // 1000,
            )
            if not moved:
                # The command line ended it meanwhile.
                self._live.pop(record.session_id, None)
                return False
            self._store.sessions.keep_incoming(record.session_id, envelopes.values())
            self._queue(record.session_id, live, step)
            if share is not None:
                self._store.shares.add(share)
            if step.certificate is not None:
                self._adopt(record.session_id, live, step.certificate)
                self._store.sessions.leave(record.session_id, FINISHED)
            elif held is not None:
                # All prepared signatures are here; the message just queued says `activated` (R25).
                self._store.shares.set_activated(record.session_id)
        if step.certificate is not None:
            self._live.pop(record.session_id, None)
        return True

    def _is_activated(self, record: SessionRecord) -> bool:
        held = self._store.shares.of_session(record.session_id)
        return held is not None and held.state == ACTIVATED

    def _check_replay(self, record: SessionRecord, envelopes: dict[int, Envelope]) -> None:
        """An old message again is harmless; another one for the same slot is evidence against its sender
        (R22)."""
        for sender, envelope in envelopes.items():
            kept = self._store.sessions.incoming(record.session_id, envelope.round, sender)
            if kept is None:
                continue
            first = Envelope.parse(kept)
            if first.signed_bytes() != envelope.signed_bytes():
                raise Equivocation(first, envelope)

    def _check_notes(self, live: _Live, machine: KeyGen) -> None:
        for index, data in machine.notes.items():
            try:
                notes = Notes.parse(data)
            except (CanonicalError, WireError) as error:
                raise SessionAbort("bad_notes", str(error), index) from None
            self._checks.keep_rejections(live.manifest, live.context.digest, notes.decisions)  # R13
            if any(note.state in (ACTIVATED, FINAL) for note in notes.sets):  # R26
                raise SessionAbort(
                    "group_has_key", f"participant {index} already activated shares of this group"
                )

    def _pending(self, record: SessionRecord, live: _Live, step: Step) -> ShareRecord | None:
        share = step.pending
        if share is None:
            return None
        self._checks.check_time(live.intent)  # R15: once more before `prepared`
        if share.statement.context != live.context or share.index != live.index:
            raise SessionAbort("bad_result", "the share that came out is not one of this session")
        share.verify()
        draft = ShareRecord(
            group_id=live.manifest.group_id,
            epoch=live.context.epoch,
            digest=record.digest,
            attempt=record.attempt,
            vault_id=record.vault_id,
            domain=live.context.domain,
            session_id=record.session_id,
            state=PREPARED,
            sealed=b"",
        )
        place = share_place(draft, self._identity.node_id)
        return replace(draft, sealed=self._data_key.seal(place, share.encode()))

    # ending

    def _adopt(self, session_id: str, live: _Live, certificate: Certificate) -> None:
        """Verify a final certificate against this node's own share and make the set usable (R25, R26)."""
        held = self._store.shares.of_session(session_id)
        if held is None:
            raise SessionAbort(
                "certificate_without_share", "there is a certificate, but this node prepared no share"
            )
        share = KeyShare.parse(self._data_key.open(share_place(held, self._identity.node_id), held.sealed))
        certificate.verify()
        if certificate.statement.context != live.context or certificate.statement != share.statement:
            raise SessionAbort(
                "foreign_certificate", "the certificate is not for the share that this node prepared"
            )
        self._store.shares.set_final(session_id, certificate.encode())
        self._store.shares.add_anchor(outcome.anchor(live.intent, certificate))
        self._store.requests.set_result(live.context.digest.hex(), SUCCEEDED)

    def ended(self, ended: Ended) -> None:
        """The coordinator says that a session is over. A certificate is believed once it verifies, nothing
        else is."""
        record = self._store.sessions.get(ended.session_id)
        if record is None:
            return
        held = self._store.shares.of_session(ended.session_id)
        try:
            with self._store.database.transaction():
                if ended.certificate and held is not None and held.state != FINAL:
                    self._adopt(ended.session_id, self._context(record), Certificate.parse(ended.certificate))
                self._store.sessions.close(ended.session_id, f"ended_{ended.state}", ended.reason[:500])
        except (MPCError, NodeError) as error:
            self._store.log("bad_certificate", f"session {ended.session_id}: {error}")
            self._store.sessions.close(ended.session_id, "bad_certificate", str(error)[:500])
        self._live.pop(ended.session_id, None)

    def peer_abort(self, abort: PeerAbort) -> bool:
        """Another participant left: n-of-n key generation cannot go on. True when a running session ended."""
        record = self._store.sessions.get(abort.session_id)
        if record is None or record.state != RUNNING:
            return False
        try:
            live = self._context(record)
            envelope = open_abort(abort.envelope, live.context, live.index)
            said = Abort.parse(envelope.body)
        except (NodeError, MPCError, CanonicalError, WireError) as error:
            self._store.log("bad_abort", f"session {abort.session_id}: {error}")
            return False
        message = plain(f"participant {envelope.sender} left: {said.code}: {said.message}")
        self._store.sessions.leave(abort.session_id, ABORTED, "peer_aborted", message[:500])
        self._live.pop(abort.session_id, None)
        return True

    def reject(self, digest: str, reason: str) -> None:
        """The operator rejects: the ceremonies of this request end here and now (R13)."""
        for record in self._store.sessions.listed():
            if record.digest == digest and record.state == RUNNING:
                self.abort(record, SessionAbort("rejected", f"the operator of this node rejected: {reason}"))

    def abort(self, record: SessionRecord, reason: SessionAbort) -> None:
        """Leave a session, tell the others, and keep a note of why."""
        self._live.pop(record.session_id, None)
        body = Abort(reason.code[:64], reason.message[:_MAX_ABORT_TEXT], reason.blamed).encode()
        live = self._context(record)
        with self._store.database.transaction():
            if self._store.sessions.leave(record.session_id, ABORTED, reason.code, reason.message[:500]):
                self._store.log(
                    reason.code, f"session {record.session_id} round {record.round}: {reason.message}"
                )
                # Whoever left says nothing else: an unsent `activated` would still complete the key (R13).
                self._store.sessions.withdraw(record.session_id)
                self._send(record.session_id, live, type=ABORT, round=record.round, recipient=0, body=body)
        self._live.pop(record.session_id, None)

    def enforce_deadlines(self) -> None:
        """End what runs longer than a ceremony may (R15), by this node's own clock from its own start."""
        for record in self._store.sessions.listed():
            if record.state != RUNNING:
                continue
            try:
                self._check_deadline(record)
            except SessionAbort as error:
                self.abort(record, error)

    def _check_deadline(self, record: SessionRecord) -> None:
        if self._store.now() - record.started_at > DEADLINE_MS:
            raise SessionAbort("deadline", "the ceremony did not end within 10 minutes")

    # state

    def _context(self, record: SessionRecord) -> _Live:
        live = self._live.get(record.session_id)
        if live is None:
            request = self._store.requests.get(record.digest)
            if request is None:
                raise NodeError("request_missing", "the request of this session is gone from the store")
            intent = KeyGenIntent.parse(request.intent.encode())
            manifest = Manifest.parse(request.manifest.encode())
            context = key_gen_context(intent, manifest, record.attempt)
            live = _Live(intent, manifest, context, manifest.index_of(self._identity.node_id))
            self._live[record.session_id] = live
        return live

    def _place(self, live: _Live) -> Place:
        intent, context = live.intent, live.context
        return Place(
            "session",
            self._identity.node_id,
            context.domain,
            intent.vault_id,
            intent.target.group_id,
            context.epoch,
            context.session_id().hex(),
        )

    def _seal(self, live: _Live, machine: KeyGen) -> bytes:
        return self._data_key.seal(self._place(live), machine.to_bytes())

    def _load(self, record: SessionRecord, live: _Live) -> KeyGen:
        state = self._data_key.open(self._place(live), record.sealed)
        return KeyGen.from_bytes(live.context, state, self._identity.sign)

    def _queue(self, session_id: str, live: _Live, step: Step) -> None:
        for message in step.outgoing:
            self._send(
                session_id,
                live,
                type=ROUND_MESSAGE,
                round=message.round,
                recipient=message.to,
                body=message.body,
            )

    def _send(
        self, session_id: str, live: _Live, *, type: int, round: int, recipient: int, body: bytes
    ) -> None:
        envelope = Envelope.seal(
            self._identity.sign,
            type=type,
            session_id=live.context.session_id(),
            protocol=live.context.protocol,
            round=round,
            sender=live.index,
            recipient=recipient,
            body=body,
        )
        self._store.sessions.queue(session_id, envelope)
