"""KeyGen and Reshare: commit-reveal Feldman dealing on both curves at once, ending in a certificate by all.

    round 0  hello      nonce, commitment to the deal, a session key for each dealer, application notes
    round 1  deal       Feldman commitments, sealed shares; in KeyGen proofs of possession and entropy
    round 2  prepared   the pending share is stored: signature over the statement; or a complaint
    round 3  activated  signature over the statement and all prepared signatures; all 2n are the certificate

In KeyGen everybody deals and receives. In a reshare t holders of the source set deal, the new holders
receive, and everybody checks and signs; mpc.dealing_rules has all that differs. Every body is broadcast,
sealed shares too, and starts with the hash of all bodies before it: two participants who were shown different
messages cannot both go on, and a complaint can be judged by anyone. Security is with abort against any number
of corrupted participants below t, of the source set and of the new one, together with the network
(docs/security.md).

A machine draws randomness once, when it starts. All its secrets follow from two seeds, in a reshare the
dealer's own share, and the transcript, so that a step that is run again after a restart gives the same bytes
(R23) and a nonce can never serve two different challenges. Seed and share are dropped with the deal, the seed
of the session keys when the shares are open.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mpc.certificate import (
    MAX_STATEMENT_BYTES,
    Certificate,
    Statement,
    activated_message,
    is_signed,
    prepared_message,
)
from mpc.curves import SCALAR_SIZE, curve_named
from mpc.dealing_checks import (
    adjudicate,
    certificate_of,
    check_activated,
    check_answers,
    check_deals,
    check_distinct,
    check_echo,
    check_prepared,
    deal_commitment,
    derive_statement,
    find_culprit,
    next_transcript,
    open_shares,
    sealing_context,
    shares_fit,
)
from mpc.dealing_messages import (
    MAX_BODY,
    MAX_NOTES,
    ROUND_ACTIVATED,
    ROUND_DEAL,
    ROUND_HELLO,
    ROUND_PREPARED,
    Activated,
    Complaint,
    CurveDeal,
    Deal,
    Hello,
    PairSetup,
    Prepared,
    parse_activated,
    parse_deal,
    parse_hello,
    parse_prepared,
    session_key_for,
)
from mpc.dealing_rules import Rules, rules_of
from mpc.dealing_secrets import (
    SEED_SIZE,
    draw_coefficients,
    ephemeral_key,
    evaluate_all,
    salt,
    session_key,
)
from mpc.encoding import HASH_SIZE, Reader, Writer, parse_record
from mpc.errors import (
    DecryptionFailed,
    EncodingError,
    FaultyParticipant,
    InvalidCertificate,
    InvalidParameters,
    InvalidPoint,
    InvalidScalar,
    UnknownFault,
    WrongState,
)
from mpc.keyshare import KeyShare
from mpc.polynomial import commit
from mpc.protocol import BROADCAST, Outgoing, Step
from mpc.reshare_rules import check_share
from mpc.sealing import public_key, seal
from mpc.session import SessionContext, Sign

__all__ = ["Dealing", "adjudicate", "certificate_of", "find_culprit"]

FINISHED = ROUND_ACTIVATED + 1
_STATE_VERSION = 1


class _Secrets(NamedTuple):
    """What the machine must still keep.

    Seeds: 32 bytes or empty; constants: what a dealer of a reshare deals, one scalar a curve; own_shares: its
    own deal's shares for itself.
    """

    dealing_seed: bytes = b""
    receiving_seed: bytes = b""
    constants: tuple[bytes, ...] = ()
    own_shares: tuple[bytes, ...] = ()


@dataclass
class Dealing:
    """One participant's run. Make one with `start` or `from_bytes`; see mpc.protocol.Machine."""

    context: SessionContext
    index: int
    round: int
    _rules: Rules = field(repr=False)
    _sign: Sign = field(repr=False)
    _transcript: bytes = field(repr=False)
    # Bodies by round and index. The current round holds the own body only.
    _bodies: tuple[Mapping[int, bytes], ...] = field(repr=False)
    _secrets: _Secrets = field(repr=False)
    _statement: Statement | None = field(repr=False, default=None)

    @classmethod
    def start(
        cls,
        context: SessionContext,
        index: int,
        sign: Sign,
        *,
        source: Statement | None = None,
        share: KeyShare | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        notes: bytes = b"",
    ) -> "tuple[Dealing, Step]":
        """Begin a run as participant `index`.

        sign: Ed25519 with the key that the roster has for `index`; source: of a reshare, the statement of the
        verified certificate that it starts from; share: a reshare dealer's share of that set; random: n -> n
        bytes from a CSPRNG; notes: at most 64 KiB, shown to the application of every participant. Raises
        InvalidParameters; InvalidCertificate if the share is not its statement's.
        """
        rules = rules_of(context, source)
        if type(index) is not int or index not in context.indices:
            raise InvalidParameters("index", "must be 1..n")
        if (share is not None) != any(dealer.index == index for dealer in context.dealers):
            raise InvalidParameters("share", "must be given for a dealer of a reshare and for nobody else")
        if source is not None and share is not None:
            check_share(context, source, index, share)
        if len(notes) > MAX_NOTES:
            raise InvalidParameters("notes", f"longer than {MAX_NOTES} bytes")
        dealing_seed, receiving_seed, nonce = random(SEED_SIZE), random(SEED_SIZE), random(SEED_SIZE)
        if not len(dealing_seed) == len(receiving_seed) == len(nonce) == SEED_SIZE:
            raise InvalidParameters("random", "returned the wrong number of bytes")
        kept = _Secrets(
            dealing_seed if index in context.dealer_indices else b"",
            receiving_seed if index in context.receiver_indices else b"",
            share.secret_shares if share else (),
        )
        session_id = context.session_id()
        hello = Hello(
            echo=session_id,
            nonce=nonce,
            commitment=_promise(context, rules, session_id, index, kept) if kept.dealing_seed else b"",
            session_keys=_session_keys(context, index, kept.receiving_seed) if kept.receiving_seed else (),
            notes=notes,
            pair_setup=PairSetup(),
        )
        body = hello.encode()
        machine = cls(context, index, ROUND_HELLO, rules, sign, session_id, ({index: body},), kept)
        return machine, Step(outgoing=(Outgoing(ROUND_HELLO, BROADCAST, body),))

    @property
    def finished(self) -> bool:
        """True once a Step carried the certificate."""
        return self.round == FINISHED

    @property
    def notes(self) -> Mapping[int, bytes]:
        """Each participant's notes by index; empty until round 0 has been received.

        The runner examines them before it sends what `receive` returned for round 0 (R13, R26).
        """
        if self.round == ROUND_HELLO:
            return {}
        return {index: hello.notes for index, hello in self._hellos().items()}

    @property
    def prepared_signatures(self) -> tuple[bytes, ...]:
        """All n prepared signatures, by index, once round 2 has been received; empty before."""
        if self.round <= ROUND_PREPARED:
            return ()
        answers = (parse_prepared(self.context, *item) for item in self._bodies[ROUND_PREPARED].items())
        return tuple(answer.signature for answer in answers if isinstance(answer, Prepared))

    def receive(self, bodies: Mapping[int, bytes]) -> Step:
        """Take all others' bodies of `round` and advance one round; see mpc.protocol.Machine.

        A bad share for this participant does not raise: the Step carries the complaint, and round 2 ends the
        run with blame. Raises ProtocolAbort, WrongState, InvalidParameters; nothing has changed then.
        """
        if self.finished:
            raise WrongState("the run is finished")
        if set(bodies) != set(self.context.others(self.index)):
            raise InvalidParameters("bodies", "must be those of all other participants")
        everyones = dict(sorted({**bodies, **self._bodies[self.round]}.items()))
        handlers = (
            self._receive_hellos,
            self._receive_deals,
            self._receive_prepared,
            self._receive_activated,
        )
        return handlers[self.round](everyones)

    def to_bytes(self) -> bytes:
        """The whole state, secrets included: the caller encrypts it. Raises WrongState once finished."""
        if self.finished:
            raise WrongState("a finished run has no state to keep")
        writer = Writer().u8(_STATE_VERSION).fixed(self.context.session_id(), HASH_SIZE).u16(self.index)
        writer.u8(self.round)
        for bodies in self._bodies:
            for index in sorted(bodies):
                writer.variable(bodies[index], MAX_BODY, "body")
        kept = self._secrets
        for seed in (kept.dealing_seed, kept.receiving_seed):
            writer.variable(seed, SEED_SIZE, "seed")
        for scalars in (kept.constants, kept.own_shares):
            writer.u8(len(scalars)).vector(scalars, len(scalars), SCALAR_SIZE)
        statement = self._statement.encode() if self._statement else b""
        return writer.variable(statement, MAX_STATEMENT_BYTES, "statement").done()

    @classmethod
    def from_bytes(
        cls, context: SessionContext, data: bytes, sign: Sign, *, source: Statement | None = None
    ) -> "Dealing":
        """Resume from `to_bytes`.

        source: as for `start`. Raises WrongState if the state belongs to another session, EncodingError,
        InvalidParameters.
        """
        rules = rules_of(context, source)

        def read(reader: Reader) -> Dealing:
            if reader.u8("state.version") != _STATE_VERSION:
                raise EncodingError("state.version", "is not known")
            if reader.fixed(HASH_SIZE, "session_id") != context.session_id():
                raise WrongState("the state belongs to another session")
            index, number = reader.u16("index"), reader.u8("round")
            if index not in context.indices or number >= FINISHED:
                raise EncodingError("state", "index or round out of range")
            rounds: list[Mapping[int, bytes]] = [
                {each: reader.variable(MAX_BODY, "body") for each in context.indices} for _ in range(number)
            ]
            transcript = context.session_id()
            for past, bodies in enumerate(rounds):
                transcript = next_transcript(context, transcript, past, bodies)
            rounds.append({index: reader.variable(MAX_BODY, "body")})
            kept = _Secrets(
                reader.variable(SEED_SIZE, "dealing_seed"),
                reader.variable(SEED_SIZE, "receiving_seed"),
                reader.vector(reader.u8("constants"), SCALAR_SIZE, "constants"),
                reader.vector(reader.u8("own_shares"), SCALAR_SIZE, "own_shares"),
            )
            encoded = reader.variable(MAX_STATEMENT_BYTES, "statement")
            statement = Statement.parse(encoded) if encoded else None
            return cls(context, index, number, rules, sign, transcript, tuple(rounds), kept, statement)

        limit = (ROUND_ACTIVATED * context.size + 1) * (MAX_BODY + 4) + MAX_STATEMENT_BYTES + 1024
        return parse_record(data, limit, read)

    # ------------------------------------------------------------------------------------ rounds, in order

    def _receive_hellos(self, bodies: Mapping[int, bytes]) -> Step:
        context, own = self.context, self.index
        hellos = {index: parse_hello(context, index, body) for index, body in bodies.items()}
        for index, hello in hellos.items():
            check_echo(index, hello.echo, self._transcript)
        ssid = next_transcript(context, self._transcript, ROUND_HELLO, bodies)
        if own not in context.dealer_indices:
            return self._advance(bodies, ssid, Deal(ssid, PairSetup()).encode(), self._secrets)

        rules, seed = self._rules, self._secrets.dealing_seed
        coefficients = draw_coefficients(context, seed, self._secrets.constants)
        curves = []
        for name, each in zip(context.curves, coefficients, strict=True):
            curve = curve_named(name)
            commitment = commit(curve, each)
            curves.append(CurveDeal(commitment, rules.proof(seed, ssid, own, curve, each[0], commitment[0])))
        sealed = []
        for recipient in context.other_receivers(own):
            shares = b"".join(evaluate_all(context, coefficients, recipient))
            key = session_key_for(context, hellos[recipient], recipient, own)
            ephemeral = ephemeral_key(seed, ssid, recipient)
            try:
                sealed.append(seal(shares, key, sealing_context(ssid, own, recipient), ephemeral))
            except InvalidPoint:
                raise FaultyParticipant(
                    recipient, "weak_session_key", "an X25519 key of small order"
                ) from None
        deal = Deal(ssid, PairSetup(), rules.entropy(seed), salt(seed), tuple(curves), tuple(sealed))
        own_shares = evaluate_all(context, coefficients, own) if own in context.receiver_indices else ()
        kept = _Secrets(receiving_seed=self._secrets.receiving_seed, own_shares=own_shares)
        return self._advance(bodies, ssid, deal.encode(), kept)

    def _receive_deals(self, bodies: Mapping[int, bytes]) -> Step:
        context, ssid = self.context, self._transcript
        deals = {index: parse_deal(context, index, body) for index, body in bodies.items()}
        for index, deal in deals.items():
            check_echo(index, deal.echo, ssid)
        dealt = {index: deals[index] for index in context.dealer_indices}
        others = {index: deal for index, deal in dealt.items() if index != self.index}
        check_deals(context, self._rules, ssid, self._hellos(), others)
        check_distinct(context, dealt)
        statement = derive_statement(context, self._rules, ssid, deals)
        transcript = next_transcript(context, ssid, ROUND_DEAL, bodies)

        share: KeyShare | None = None
        if self.index in context.receiver_indices:
            received: dict[int, tuple[bytes, ...]] = {}
            for dealer, deal in others.items():
                key = session_key(self._secrets.receiving_seed, dealer)
                try:
                    received[dealer] = open_shares(context, ssid, dealer, self.index, deal, key)
                except (DecryptionFailed, EncodingError):
                    return self._complain(bodies, transcript, dealer)
            share = self._combine(statement, received)
            if share is None:
                # The sum was checked first because it is one check; only now each dealer is (tests 23, 25).
                for dealer, shares in received.items():
                    if not shares_fit(context, deals[dealer], self.index, shares):
                        return self._complain(bodies, transcript, dealer)
                raise UnknownFault("inconsistent_sum", "every share is good and their sum is not")
        body = Prepared(transcript, self._signature(prepared_message(statement))).encode()
        return self._advance(bodies, transcript, body, _Secrets(), statement, pending=share)

    def _receive_prepared(self, bodies: Mapping[int, bytes]) -> Step:
        context = self.context
        answers = {index: parse_prepared(context, index, body) for index, body in bodies.items()}
        check_answers(context, self._transcript, self._bodies[ROUND_HELLO], self._bodies[ROUND_DEAL], answers)
        if self._statement is None:
            raise WrongState("the own complaint is missing")
        prepared = check_prepared(context, self._statement, answers)
        transcript = next_transcript(context, self._transcript, ROUND_PREPARED, bodies)
        signature = self._signature(activated_message(self._statement, prepared))
        body = Activated(transcript, signature).encode()
        return self._advance(bodies, transcript, body, _Secrets(), self._statement)

    def _receive_activated(self, bodies: Mapping[int, bytes]) -> Step:
        context = self.context
        if self._statement is None:
            raise WrongState("the statement is missing")
        answers = {index: parse_activated(context, index, body) for index, body in bodies.items()}
        prepared = self.prepared_signatures
        check_activated(context, self._transcript, self._statement, prepared, answers)
        activated = tuple(answer.signature for answer in answers.values())
        self.round = FINISHED
        return Step(certificate=Certificate(self._statement, prepared, activated))

    # ------------------------------------------------------------------------------------ helpers

    def _hellos(self) -> dict[int, Hello]:
        return {
            index: parse_hello(self.context, index, body) for index, body in self._bodies[ROUND_HELLO].items()
        }

    def _combine(self, statement: Statement, received: Mapping[int, tuple[bytes, ...]]) -> KeyShare | None:
        """The share that all dealers' shares make, None if it is not the statement's."""
        shares = {self.index: self._secrets.own_shares, **received} if self._secrets.own_shares else received
        try:
            combined = tuple(
                self._rules.combine_shares(
                    curve_named(name), {dealer: each[at] for dealer, each in shares.items()}
                )
                for at, name in enumerate(self.context.curves)
            )
            share = KeyShare(self.index, statement, combined)
            share.verify()
        except (InvalidScalar, InvalidCertificate):
            return None
        return share

    def _complain(self, bodies: Mapping[int, bytes], transcript: bytes, dealer: int) -> Step:
        # R22: reveals the key for this dealer's message and no other.
        key = session_key(self._secrets.receiving_seed, dealer)
        body = Complaint(transcript, dealer, key).encode()
        return self._advance(bodies, transcript, body, _Secrets())

    def _signature(self, message: bytes) -> bytes:
        signature = self._sign(message)
        if not is_signed(self.context.verify_key(self.index), message, signature):
            raise InvalidParameters(
                "sign", "does not sign with the key that the roster has for this participant"
            )
        return signature

    def _advance(
        self,
        bodies: Mapping[int, bytes],
        transcript: bytes,
        body: bytes,
        kept: _Secrets,
        statement: Statement | None = None,
        pending: KeyShare | None = None,
    ) -> Step:
        self._transcript = transcript
        self._bodies = (*self._bodies[:-1], bodies, {self.index: body})
        self._secrets, self._statement = kept, statement
        self.round += 1
        return Step(outgoing=(Outgoing(self.round, BROADCAST, body),), pending=pending)


def _promise(context: SessionContext, rules: Rules, session_id: bytes, index: int, kept: _Secrets) -> bytes:
    """The commitment of round 0 to the deal of round 1."""
    seed = kept.dealing_seed
    coefficients = draw_coefficients(context, seed, kept.constants)
    commitments = [
        commit(curve_named(name), each) for name, each in zip(context.curves, coefficients, strict=True)
    ]
    return deal_commitment(session_id, index, commitments, rules.entropy(seed), salt(seed))


def _session_keys(context: SessionContext, index: int, receiving_seed: bytes) -> tuple[bytes, ...]:
    return tuple(public_key(session_key(receiving_seed, dealer)) for dealer in context.other_dealers(index))
