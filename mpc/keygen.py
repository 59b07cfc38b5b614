"""KeyGen: commit-reveal joint Feldman on both curves at once, ending in a certificate by all members.

    round 0  hello      nonce, commitment to the deal, a session key for each dealer, application notes
    round 1  deal       Feldman commitments, proofs of possession, entropy, sealed shares
    round 2  prepared   the pending share is stored: signature over the statement; or a complaint
    round 3  activated  signature over the statement and all prepared signatures; all 2n are the certificate

Every body is broadcast, sealed shares too, and starts with the hash of all bodies before it: two participants
who were shown different messages cannot both go on, and a complaint can be judged by anyone. Security is with
abort against any number of corrupted participants below t together with the network (docs/security.md).

A machine draws randomness once, when it starts. All its secrets follow from two seeds and the transcript, so
that a step that is run again after a restart gives the same bytes (R23) and a nonce can never serve two
different challenges. The seed of the dealing is dropped with the deal, the seed of the session keys when the
shares are open.
"""

import hashlib
import hmac
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
from mpc.encoding import HASH_SIZE, Reader, Writer, encode_fields, parse_record
from mpc.errors import (
    DecryptionFailed,
    EncodingError,
    FaultyParticipant,
    InvalidCertificate,
    InvalidParameters,
    InvalidPoint,
    UnknownFault,
    WrongState,
)
from mpc.keygen_checks import (
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
from mpc.keygen_messages import (
    MAX_BODY,
    MAX_NOTES,
    ROUND_ACTIVATED,
    ROUND_DEAL,
    ROUND_HELLO,
    ROUND_PREPARED,
    Activated,
    Complaint,
    Deal,
    Dealing,
    Hello,
    PairSetup,
    Prepared,
    parse_activated,
    parse_deal,
    parse_hello,
    parse_prepared,
    slot,
)
from mpc.keyshare import KeyShare
from mpc.polynomial import commit, evaluate
from mpc.pop import prove
from mpc.protocol import BROADCAST, Outgoing, Step
from mpc.sealing import public_key, seal
from mpc.session import SessionContext, Sign

__all__ = ["PROTOCOL", "KeyGen", "adjudicate", "certificate_of", "find_culprit"]

PROTOCOL = "keygen/1"
FINISHED = ROUND_ACTIVATED + 1
_SEED_SIZE = 32
_STATE_VERSION = 1


class _Secrets(NamedTuple):
    """What the machine must still keep: seeds, 32 bytes or empty; its own deal's shares for itself."""

    dealing_seed: bytes = b""
    receiving_seed: bytes = b""
    own_shares: tuple[bytes, ...] = ()


@dataclass
class KeyGen:
    """One participant's KeyGen. Make one with `start` or `from_bytes`; see mpc.protocol.Machine."""

    context: SessionContext
    index: int
    round: int
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
        random: Callable[[int], bytes] = secrets.token_bytes,
        notes: bytes = b"",
    ) -> "tuple[KeyGen, Step]":
        """Begin a run as participant `index`.

        sign: Ed25519 with the key that the roster has for `index`; random: n -> n bytes from a CSPRNG; notes:
        at most 64 KiB, shown to the application of every participant. Raises InvalidParameters.
        """
        if context.protocol != PROTOCOL:
            raise InvalidParameters("protocol", f"must be {PROTOCOL}")
        if type(index) is not int or index not in context.indices:
            raise InvalidParameters("index", "must be 1..n")
        if len(notes) > MAX_NOTES:
            raise InvalidParameters("notes", f"longer than {MAX_NOTES} bytes")
        dealing_seed, receiving_seed, nonce = random(_SEED_SIZE), random(_SEED_SIZE), random(_SEED_SIZE)
        if not len(dealing_seed) == len(receiving_seed) == len(nonce) == _SEED_SIZE:
            raise InvalidParameters("random", "returned the wrong number of bytes")
        coefficients = draw_coefficients(context, dealing_seed)
        commitments = [
            commit(curve_named(name), each) for name, each in zip(context.curves, coefficients, strict=True)
        ]
        entropy, salt = _entropy_and_salt(dealing_seed)
        session_id = context.session_id()
        hello = Hello(
            echo=session_id,
            nonce=nonce,
            commitment=deal_commitment(session_id, index, commitments, entropy, salt),
            session_keys=tuple(
                public_key(_session_key(receiving_seed, dealer)) for dealer in context.others(index)
            ),
            notes=notes,
            pair_setup=PairSetup(),
        )
        body = hello.encode()
        kept = _Secrets(dealing_seed, receiving_seed)
        machine = cls(context, index, ROUND_HELLO, sign, session_id, ({index: body},), kept)
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
        bodies = self._bodies[ROUND_HELLO]
        return {index: parse_hello(self.context, index, body).notes for index, body in bodies.items()}

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
        writer.variable(self._secrets.dealing_seed, _SEED_SIZE).variable(
            self._secrets.receiving_seed, _SEED_SIZE
        )
        writer.u8(len(self._secrets.own_shares))
        for share in self._secrets.own_shares:
            writer.fixed(share, SCALAR_SIZE)
        statement = self._statement.encode() if self._statement else b""
        return writer.variable(statement, MAX_STATEMENT_BYTES, "statement").done()

    @classmethod
    def from_bytes(cls, context: SessionContext, data: bytes, sign: Sign) -> "KeyGen":
        """Resume from `to_bytes`.

        Raises WrongState if the state belongs to another session, EncodingError.
        """

        def read(reader: Reader) -> KeyGen:
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
            seeds = reader.variable(_SEED_SIZE, "dealing_seed"), reader.variable(_SEED_SIZE, "receiving_seed")
            shares = reader.vector(reader.u8("own_shares"), SCALAR_SIZE, "own_shares")
            encoded = reader.variable(MAX_STATEMENT_BYTES, "statement")
            statement = Statement.parse(encoded) if encoded else None
            return cls(
                context, index, number, sign, transcript, tuple(rounds), _Secrets(*seeds, shares), statement
            )

        limit = (ROUND_ACTIVATED * context.size + 1) * (MAX_BODY + 4) + MAX_STATEMENT_BYTES + 1024
        return parse_record(data, limit, read)

    # ------------------------------------------------------------------------------------ rounds, in order

    def _receive_hellos(self, bodies: Mapping[int, bytes]) -> Step:
        context, own, seed = self.context, self.index, self._secrets.dealing_seed
        hellos = {index: parse_hello(context, index, body) for index, body in bodies.items()}
        for index, hello in hellos.items():
            check_echo(index, hello.echo, self._transcript)
        ssid = next_transcript(context, self._transcript, ROUND_HELLO, bodies)

        coefficients = draw_coefficients(context, seed)
        dealings = []
        for name, each in zip(context.curves, coefficients, strict=True):
            curve = curve_named(name)
            commitment = commit(curve, each)
            nonce = curve.scalar_from_uniform(_derive(seed, "pop-nonce", ssid, name.encode()))
            dealings.append(Dealing(commitment, prove(curve, ssid, own, each[0], commitment[0], nonce)))
        sealed = []
        for recipient in context.others(own):
            ephemeral = _derive(seed, "ephemeral", ssid, recipient.to_bytes(2, "big"))[:32]
            shares = _evaluate_all(context, coefficients, recipient)
            key = hellos[recipient].session_keys[slot(context, recipient, own)]
            try:
                sealed.append(seal(b"".join(shares), key, sealing_context(ssid, own, recipient), ephemeral))
            except InvalidPoint:
                raise FaultyParticipant(
                    recipient, "weak_session_key", "an X25519 key of small order"
                ) from None
        entropy, salt = _entropy_and_salt(seed)
        deal = Deal(ssid, entropy, salt, tuple(dealings), tuple(sealed), PairSetup())
        kept = _Secrets(b"", self._secrets.receiving_seed, _evaluate_all(context, coefficients, own))
        return self._advance(bodies, ssid, deal.encode(), kept)

    def _receive_deals(self, bodies: Mapping[int, bytes]) -> Step:
        context, ssid, kept = self.context, self._transcript, self._secrets
        deals = {index: parse_deal(context, index, body) for index, body in bodies.items()}
        for index, deal in deals.items():
            check_echo(index, deal.echo, self._transcript)
        others = {index: deal for index, deal in deals.items() if index != self.index}
        hellos = {
            index: parse_hello(context, index, body) for index, body in self._bodies[ROUND_HELLO].items()
        }
        check_deals(context, ssid, hellos, others)
        check_distinct(context, deals)
        statement = derive_statement(context, ssid, deals)
        transcript = next_transcript(context, self._transcript, ROUND_DEAL, bodies)

        received: dict[int, tuple[bytes, ...]] = {}
        for dealer, deal in others.items():
            key = _session_key(kept.receiving_seed, dealer)
            try:
                received[dealer] = open_shares(context, ssid, dealer, self.index, deal, key)
            except (DecryptionFailed, EncodingError):
                return self._complain(bodies, transcript, dealer)
        share = KeyShare(self.index, statement, self._add_up(received))
        if not _matches(share):
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

    @property
    def prepared_signatures(self) -> tuple[bytes, ...]:
        """All n prepared signatures, by index, once round 2 has been received; empty before."""
        if self.round <= ROUND_PREPARED:
            return ()
        answers = (parse_prepared(self.context, *item) for item in self._bodies[ROUND_PREPARED].items())
        return tuple(answer.signature for answer in answers if isinstance(answer, Prepared))

    def _add_up(self, received: Mapping[int, tuple[bytes, ...]]) -> tuple[bytes, ...]:
        totals = []
        for at, name in enumerate(self.context.curves):
            # The own share comes first: it is uniform to all others, so that no partial sum can be made 0.
            total = self._secrets.own_shares[at]
            for shares in received.values():
                total = curve_named(name).scalar_add(total, shares[at])
            totals.append(total)
        return tuple(totals)

    def _complain(self, bodies: Mapping[int, bytes], transcript: bytes, dealer: int) -> Step:
        # R22: reveals the key for this dealer's message and no other.
        key = _session_key(self._secrets.receiving_seed, dealer)
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


def draw_coefficients(context: SessionContext, seed: bytes) -> tuple[tuple[bytes, ...], ...]:
    """The dealer's secret polynomials, one a curve, t uniform coefficients each, constant term first."""
    return tuple(
        tuple(
            curve_named(name).scalar_from_uniform(
                _derive(seed, "coefficient", name.encode(), k.to_bytes(2, "big"))
            )
            for k in range(context.threshold)
        )
        for name in context.curves
    )


def _derive(seed: bytes, label: str, *fields: bytes) -> bytes:
    """64 bytes of HMAC-SHA512, a PRF under the secret seed."""
    return hmac.digest(seed, encode_fields(f"quorate/keygen/{label}/v1", *fields), hashlib.sha512)


def _session_key(receiving_seed: bytes, dealer: int) -> bytes:
    return _derive(receiving_seed, "session-key", dealer.to_bytes(2, "big"))[:32]


def _entropy_and_salt(dealing_seed: bytes) -> tuple[bytes, bytes]:
    derived = _derive(dealing_seed, "entropy-and-salt")
    return derived[:32], derived[32:]


def _evaluate_all(
    context: SessionContext, coefficients: tuple[tuple[bytes, ...], ...], index: int
) -> tuple[bytes, ...]:
    return tuple(
        evaluate(curve_named(name), each, index)
        for name, each in zip(context.curves, coefficients, strict=True)
    )


def _matches(share: KeyShare) -> bool:
    try:
        share.verify()
    except InvalidCertificate:
        return False
    return True
