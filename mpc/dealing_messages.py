"""The four broadcast bodies of a dealing: what they hold and how they are read.

Each begins with the echo T_r of all rounds before it (R22, test 13). The form of a body follows from context
and sender: who does not deal commits to nothing, who does not receive has no session keys, and a constant
that a certificate pins needs neither proof nor entropy. Parsing checks form and sizes only; what the values
must satisfy is in dealing_checks.py. All parsers raise MalformedMessage, except that a commitment of the
wrong length has a code of its own, being the known attack on the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from mpc.certificate import SIGNATURE_SIZE, PairSetupKind, read_pair_setup_kind
from mpc.curves import SCALAR_SIZE, Point, curve_named
from mpc.encoding import HASH_SIZE, Reader, Writer, parse_record
from mpc.errors import EncodingError, FaultyParticipant, MalformedMessage
from mpc.pop import proof_size
from mpc.sealing import KEY_SIZE, OVERHEAD
from mpc.session import SessionContext

VERSION = 1
ROUND_HELLO, ROUND_DEAL, ROUND_PREPARED, ROUND_ACTIVATED = range(4)
MAX_NOTES = 64 * 1024
MAX_PAIR_SETUP = 768 * 1024
_PAIR_SETUP_LIMITS = {PairSetupKind.NONE: 0}
# A whole body must fit into an envelope, whose body has at most 1 MiB (docs/protocol.md, 4).
MAX_BODY = MAX_PAIR_SETUP + MAX_NOTES + 64 * 1024
NONCE_SIZE = ENTROPY_SIZE = SALT_SIZE = 32

_PREPARED, _COMPLAINT = 1, 2

T = TypeVar("T")


class PairSetup(NamedTuple):
    """The typed slot for the pairwise OT set-up of a later version; data is empty for NONE."""

    kind: PairSetupKind = PairSetupKind.NONE
    data: bytes = b""

    def write(self, writer: Writer) -> None:
        writer.u8(self.kind).variable(self.data, MAX_PAIR_SETUP, "pair_setup")


@dataclass(frozen=True)
class Hello:
    """Round 0.

    commitment: a dealer's, to its deal, else empty; session_keys: a receiver's X25519 keys for the other
    dealers, in index order (R22), else none; notes: the application's.
    """

    echo: bytes
    nonce: bytes
    commitment: bytes
    session_keys: tuple[bytes, ...]
    notes: bytes
    pair_setup: PairSetup

    def encode(self) -> bytes:
        writer = Writer().fixed(self.echo, HASH_SIZE).u8(VERSION).fixed(self.nonce, NONCE_SIZE)
        writer.fixed(self.commitment, len(self.commitment))
        writer.vector(self.session_keys, len(self.session_keys), KEY_SIZE).variable(
            self.notes, MAX_NOTES, "notes"
        )
        self.pair_setup.write(writer)
        return writer.done()


@dataclass(frozen=True)
class CurveDeal:
    """One curve's part of a deal.

    commitment: t points, constant term first; proof: KeyGen's, of possession of that term, else empty.
    """

    commitment: tuple[Point, ...]
    proof: bytes = b""


@dataclass(frozen=True)
class Deal:
    """Round 1.

    entropy: KeyGen's, for the chain codes, else empty; salt: hides the deal in round 0; curves: one part a
    curve; sealed_shares: for the other receivers, in index order. All are empty for who does not deal.
    """

    echo: bytes
    pair_setup: PairSetup
    entropy: bytes = b""
    salt: bytes = b""
    curves: tuple[CurveDeal, ...] = ()
    sealed_shares: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        parts = [self.entropy, self.salt]
        for each in self.curves:
            parts.append(len(each.commitment).to_bytes(2, "big"))
            parts += [point.encoded for point in each.commitment]
            parts.append(each.proof)
        writer = Writer().fixed(self.echo, HASH_SIZE)
        for part in (*parts, *self.sealed_shares):
            writer.fixed(part, len(part))
        self.pair_setup.write(writer)
        return writer.done()


@dataclass(frozen=True)
class Prepared:
    """Round 2, the good case: the pending share is stored (R25)."""

    echo: bytes
    signature: bytes

    def encode(self) -> bytes:
        return Writer().fixed(self.echo, HASH_SIZE).u8(_PREPARED).fixed(self.signature, SIGNATURE_SIZE).done()


@dataclass(frozen=True)
class Complaint:
    """Round 2, the bad case: `accused` dealt a bad share, as its ciphertext and this key show (R22)."""

    echo: bytes
    accused: int
    revealed_key: bytes

    def encode(self) -> bytes:
        writer = Writer().fixed(self.echo, HASH_SIZE).u8(_COMPLAINT).u16(self.accused, "accused")
        return writer.fixed(self.revealed_key, KEY_SIZE).done()


@dataclass(frozen=True)
class Activated:
    """Round 3: the sender holds all prepared signatures (R25)."""

    echo: bytes
    signature: bytes

    def encode(self) -> bytes:
        return Writer().fixed(self.echo, HASH_SIZE).fixed(self.signature, SIGNATURE_SIZE).done()


def parse_hello(context: SessionContext, sender: int, body: bytes) -> Hello:
    """Raises MalformedMessage."""

    def read(reader: Reader) -> Hello:
        echo = reader.fixed(HASH_SIZE, "echo")
        if reader.u8("version") != VERSION:
            raise EncodingError("version", "is not known")
        nonce = reader.fixed(NONCE_SIZE, "nonce")
        deals, receives = sender in context.dealer_indices, sender in context.receiver_indices
        commitment = reader.fixed(HASH_SIZE if deals else 0, "commitment")
        count = len(context.other_dealers(sender)) if receives else 0
        keys = reader.vector(count, KEY_SIZE, "session_keys")
        return Hello(
            echo, nonce, commitment, keys, reader.variable(MAX_NOTES, "notes"), _read_pair_setup(reader)
        )

    return _parse(sender, body, read)


def parse_deal(context: SessionContext, sender: int, body: bytes) -> Deal:
    """Raises MalformedMessage; FaultyParticipant "commitment_length" or "invalid_point"."""

    def read(reader: Reader) -> Deal:
        echo = reader.fixed(HASH_SIZE, "echo")
        if sender not in context.dealer_indices:
            return Deal(echo, _read_pair_setup(reader))
        entropy = reader.fixed(0 if context.dealers else ENTROPY_SIZE, "entropy")
        salt = reader.fixed(SALT_SIZE, "salt")
        curves = tuple(_read_curve_deal(reader, context, sender, name) for name in context.curves)
        count, size = len(context.other_receivers(sender)), OVERHEAD + SCALAR_SIZE * len(context.curves)
        sealed = reader.vector(count, size, "sealed_shares")
        return Deal(echo, _read_pair_setup(reader), entropy, salt, curves, sealed)

    return _parse(sender, body, read)


def parse_prepared(context: SessionContext, sender: int, body: bytes) -> Prepared | Complaint:
    """Raises MalformedMessage."""

    def read(reader: Reader) -> Prepared | Complaint:
        echo, kind = reader.fixed(HASH_SIZE, "echo"), reader.u8("kind")
        if kind == _PREPARED:
            return Prepared(echo, reader.fixed(SIGNATURE_SIZE, "signature"))
        if kind != _COMPLAINT:
            raise EncodingError("kind", "is not known")
        accused = reader.u16("accused")
        if sender not in context.receiver_indices or accused not in context.other_dealers(sender):
            raise EncodingError("accused", "is not another dealer, or the accuser received nothing")
        return Complaint(echo, accused, reader.fixed(KEY_SIZE, "revealed_key"))

    return _parse(sender, body, read)


def parse_activated(context: SessionContext, sender: int, body: bytes) -> Activated:
    """Raises MalformedMessage."""

    def read(reader: Reader) -> Activated:
        return Activated(reader.fixed(HASH_SIZE, "echo"), reader.fixed(SIGNATURE_SIZE, "signature"))

    return _parse(sender, body, read)


def session_key_for(context: SessionContext, hello: Hello, receiver: int, dealer: int) -> bytes:
    """The key of `receiver`'s hello that `dealer` seals to."""
    return hello.session_keys[context.other_dealers(receiver).index(dealer)]


def sealed_share_for(context: SessionContext, deal: Deal, dealer: int, receiver: int) -> bytes:
    """What `dealer`'s deal holds for `receiver`."""
    return deal.sealed_shares[context.other_receivers(dealer).index(receiver)]


def _parse(sender: int, body: bytes, read: Callable[[Reader], T]) -> T:
    try:
        return parse_record(body, MAX_BODY, read)
    except EncodingError as error:
        raise MalformedMessage(sender, error.field, error.detail) from None


def _read_curve_deal(reader: Reader, context: SessionContext, sender: int, name: str) -> CurveDeal:
    curve, count, threshold = curve_named(name), reader.u16("commitment"), context.threshold
    # Exactly t points, before any loop: one more would raise the threshold, none would pass every check (test
    # 17).
    if count != threshold:
        raise FaultyParticipant(sender, "commitment_length", f"{name}: {count} points instead of {threshold}")
    encoded = reader.vector(count, curve.point_size, "commitment")
    try:
        commitment = tuple(curve.parse_point(point) for point in encoded)
    except EncodingError as error:
        raise FaultyParticipant(sender, "invalid_point", f"{name}: commitment: {error.detail}") from None
    return CurveDeal(commitment, reader.fixed(0 if context.dealers else proof_size(curve), "proof"))


def _read_pair_setup(reader: Reader) -> PairSetup:
    kind = read_pair_setup_kind(reader)
    return PairSetup(kind, reader.variable(_PAIR_SETUP_LIMITS[kind], "pair_setup"))
