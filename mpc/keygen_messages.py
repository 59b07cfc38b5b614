"""The four broadcast bodies of KeyGen: what they hold and how they are read.

Each begins with the echo T_r of all rounds before it (R22, test 13). Parsing checks form and sizes only; what
the values must satisfy is in keygen_checks.py. All parsers raise MalformedMessage, except that a commitment
of the wrong length has a code of its own, being the known attack on the threshold.
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
MAX_PAIR_SETUP = 1024 * 1024
_PAIR_SETUP_LIMITS = {PairSetupKind.NONE: 0}
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

    session_keys: X25519 keys for the other dealers, in index order (R22); notes: the application's.
    """

    echo: bytes
    nonce: bytes
    commitment: bytes
    session_keys: tuple[bytes, ...]
    notes: bytes
    pair_setup: PairSetup

    def encode(self) -> bytes:
        writer = Writer().fixed(self.echo, HASH_SIZE).u8(VERSION).fixed(self.nonce, NONCE_SIZE)
        writer.fixed(self.commitment, HASH_SIZE)
        writer.vector(self.session_keys, len(self.session_keys), KEY_SIZE).variable(
            self.notes, MAX_NOTES, "notes"
        )
        self.pair_setup.write(writer)
        return writer.done()


@dataclass(frozen=True)
class Dealing:
    """One curve's part of a deal.

    commitment: t points, constant term first; proof: of possession of that term.
    """

    commitment: tuple[Point, ...]
    proof: bytes


@dataclass(frozen=True)
class Deal:
    """Round 1. dealings: one a curve; sealed_shares: for the other participants, in index order."""

    echo: bytes
    entropy: bytes
    salt: bytes
    dealings: tuple[Dealing, ...]
    sealed_shares: tuple[bytes, ...]
    pair_setup: PairSetup

    def encode(self) -> bytes:
        writer = (
            Writer().fixed(self.echo, HASH_SIZE).fixed(self.entropy, ENTROPY_SIZE).fixed(self.salt, SALT_SIZE)
        )
        for dealing in self.dealings:
            writer.u16(len(dealing.commitment))
            for point in dealing.commitment:
                writer.fixed(point.encoded, len(point.encoded))
            writer.fixed(dealing.proof, len(dealing.proof))
        for sealed in self.sealed_shares:
            writer.fixed(sealed, len(sealed))
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
        nonce, commitment = reader.fixed(NONCE_SIZE, "nonce"), reader.fixed(HASH_SIZE, "commitment")
        keys = reader.vector(context.size - 1, KEY_SIZE, "session_keys")
        return Hello(
            echo, nonce, commitment, keys, reader.variable(MAX_NOTES, "notes"), _read_pair_setup(reader)
        )

    return _parse(sender, body, read)


def parse_deal(context: SessionContext, sender: int, body: bytes) -> Deal:
    """Raises MalformedMessage; FaultyParticipant "commitment_length" or "invalid_point"."""

    def read(reader: Reader) -> Deal:
        echo = reader.fixed(HASH_SIZE, "echo")
        entropy, salt = reader.fixed(ENTROPY_SIZE, "entropy"), reader.fixed(SALT_SIZE, "salt")
        dealings = tuple(_read_dealing(reader, sender, name, context.threshold) for name in context.curves)
        sealed = reader.vector(
            context.size - 1, OVERHEAD + SCALAR_SIZE * len(context.curves), "sealed_shares"
        )
        return Deal(echo, entropy, salt, dealings, sealed, _read_pair_setup(reader))

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
        if accused not in context.others(sender):
            raise EncodingError("accused", "is not another participant")
        return Complaint(echo, accused, reader.fixed(KEY_SIZE, "revealed_key"))

    return _parse(sender, body, read)


def parse_activated(context: SessionContext, sender: int, body: bytes) -> Activated:
    """Raises MalformedMessage."""

    def read(reader: Reader) -> Activated:
        return Activated(reader.fixed(HASH_SIZE, "echo"), reader.fixed(SIGNATURE_SIZE, "signature"))

    return _parse(sender, body, read)


def slot(context: SessionContext, owner: int, other: int) -> int:
    """Where `other` stands in a vector of `owner`'s that has one item for each other participant."""
    return context.others(owner).index(other)


def _parse(sender: int, body: bytes, read: Callable[[Reader], T]) -> T:
    try:
        return parse_record(body, MAX_BODY, read)
    except EncodingError as error:
        raise MalformedMessage(sender, error.field, error.detail) from None


def _read_dealing(reader: Reader, sender: int, name: str, threshold: int) -> Dealing:
    curve = curve_named(name)
    count = reader.u16("commitment")
    # Exactly t points, before any loop: one more would raise the threshold, none would pass every check (test
    # 17).
    if count != threshold:
        raise FaultyParticipant(sender, "commitment_length", f"{name}: {count} points instead of {threshold}")
    encoded = reader.vector(count, curve.point_size, "commitment")
    try:
        commitment = tuple(curve.parse_point(point) for point in encoded)
    except EncodingError as error:
        raise FaultyParticipant(sender, "invalid_point", f"{name}: commitment: {error.detail}") from None
    return Dealing(commitment, reader.fixed(proof_size(curve), "proof"))


def _read_pair_setup(reader: Reader) -> PairSetup:
    kind = read_pair_setup_kind(reader)
    return PairSetup(kind, reader.variable(_PAIR_SETUP_LIMITS[kind], "pair_setup"))
