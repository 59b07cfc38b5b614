"""The public result of a share set and the signatures that make it usable (R25). Nothing here is secret.

The statement says what was made, by whom and for whom. Every member signs it twice: `prepared` when its
pending share is stored, `activated` when it holds all prepared signatures. All of both are the final
certificate; whoever holds it can convince a member that missed the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import nacl.bindings as sodium
from nacl.exceptions import CryptoError

from mpc.curves import curve_named
from mpc.encoding import HASH_SIZE, Reader, Writer, parse_record, tagged_hash
from mpc.errors import EncodingError, InvalidCertificate, PointAtInfinity
from mpc.polynomial import has_exact_degree, interpolate_point
from mpc.session import MAX_CONTEXT_BYTES, MAX_PARTICIPANTS, SessionContext, read_context
from mpc.xpub import ExtendedPublicKey

SIGNATURE_SIZE = 64
MAX_STATEMENT_BYTES = 2 * MAX_CONTEXT_BYTES
MAX_CERTIFICATE_BYTES = MAX_STATEMENT_BYTES + 2 * SIGNATURE_SIZE * MAX_PARTICIPANTS + 64


class PairSetupKind(IntEnum):
    """What the pairwise set-up slot of a run holds; part of transcript and statement."""

    NONE = 0


@dataclass(frozen=True)
class CurveResult:
    """One curve's part of the result.

    root_key, public_shares (of the receivers): encoded points; chain_code: 32 bytes.
    """

    curve: str
    root_key: bytes
    public_shares: tuple[bytes, ...]
    chain_code: bytes


@dataclass(frozen=True)
class Statement:
    """What all members sign. ssid: 32 bytes; curves: one result for each of context.curves, in that order."""

    context: SessionContext
    ssid: bytes
    curves: tuple[CurveResult, ...]
    pair_setup_kind: PairSetupKind
    pair_setup_hash: bytes

    def encode(self) -> bytes:
        writer = Writer().u8(1, "version").variable(self.context.encode(), MAX_CONTEXT_BYTES, "context")
        writer.fixed(self.ssid, HASH_SIZE, "ssid")
        for name, result in zip(self.context.curves, self.curves, strict=True):
            size = curve_named(name).point_size
            writer.fixed(result.root_key, size, "root_key")
            writer.vector(result.public_shares, self.context.receivers, size, "public_shares")
            writer.fixed(result.chain_code, HASH_SIZE, "chain_code")
        writer.u8(self.pair_setup_kind).fixed(self.pair_setup_hash, HASH_SIZE, "pair_setup_hash")
        return writer.done()

    @classmethod
    def parse(cls, data: bytes) -> "Statement":
        """Raises EncodingError. Points are validated by `check`."""
        return parse_record(data, MAX_STATEMENT_BYTES, _read_statement)

    def hash(self) -> bytes:
        return tagged_hash("quorate/statement/v1", self.encode())

    def certificate_hash(self) -> bytes:
        """The identity of the share set, 32 bytes: of what was certified, not of the signatures.

        A member can sign the same message in many valid ways (RFC 8032 nonces are its own choice); were they
        in the hash, one member could leave all others with different anchors for one key.
        """
        return tagged_hash("quorate/certificate/v1", self.hash())

    def result(self, curve: str) -> CurveResult:
        for result in self.curves:
            if result.curve == curve:
                return result
        raise InvalidCertificate("curves", f"has no {curve}")

    def root_extended_public_keys(self) -> dict[str, str]:
        """Curve name -> text of the root extended public key."""
        return {
            each.curve: ExtendedPublicKey(each.curve, each.root_key, each.chain_code).encode()
            for each in self.curves
        }

    def check(self) -> None:
        """Are the public shares of each curve one sharing of its root key with exactly this threshold?

        Raises InvalidCertificate.
        """
        for result in self.curves:
            curve = curve_named(result.curve)
            try:
                root = curve.parse_point(result.root_key)
                shares = [curve.parse_point(share) for share in result.public_shares]
                first = dict(enumerate(shares[: self.context.threshold], start=1))
                interpolated = interpolate_point(curve, first)
            except (EncodingError, PointAtInfinity) as error:
                raise InvalidCertificate("public_shares", str(error)) from None
            if interpolated != root:
                raise InvalidCertificate("root_key", "is not what the public shares interpolate to")
            # The root is the value at 0, so that root and shares are values at consecutive integers.
            if not has_exact_degree(curve, [root, *shares], self.context.threshold):
                raise InvalidCertificate("public_shares", "are not a sharing with this threshold")


@dataclass(frozen=True)
class Certificate:
    """A statement with every member's two signatures (Ed25519, 64 bytes), in index order."""

    statement: Statement
    prepared: tuple[bytes, ...]
    activated: tuple[bytes, ...]

    def encode(self) -> bytes:
        size = self.statement.context.size
        writer = Writer().u8(1, "version").variable(self.statement.encode(), MAX_STATEMENT_BYTES, "statement")
        writer.vector(self.prepared, size, SIGNATURE_SIZE, "prepared")
        return writer.vector(self.activated, size, SIGNATURE_SIZE, "activated").done()

    @classmethod
    def parse(cls, data: bytes) -> "Certificate":
        """Raises EncodingError. Call `verify` before believing it."""
        return parse_record(data, MAX_CERTIFICATE_BYTES, _read_certificate)

    def hash(self) -> bytes:
        """The identity of the share set; see Statement.certificate_hash."""
        return self.statement.certificate_hash()

    def verify(self) -> None:
        """Check every signature with the keys in the statement, and the statement's algebra.

        Raises InvalidCertificate. The keys are the statement's own: the caller compares
        `statement.context.manifest_hash` with the manifest it has pinned.
        """
        context = self.statement.context
        if len(self.prepared) != context.size or len(self.activated) != context.size:
            raise InvalidCertificate("signatures", "one of each kind is needed from every participant")
        _check_signatures("prepared", context, prepared_message(self.statement), self.prepared)
        activated = activated_message(self.statement, self.prepared)
        _check_signatures("activated", context, activated, self.activated)
        self.statement.check()


def prepared_message(statement: Statement) -> bytes:
    """What a member signs when its pending share is stored durably (R25)."""
    return tagged_hash("quorate/prepared/v1", statement.hash())


def activated_message(statement: Statement, prepared: Sequence[bytes]) -> bytes:
    """What a member signs when it holds all n prepared signatures (R25)."""
    signatures = tagged_hash("quorate/prepared-signatures/v1", *prepared)
    return tagged_hash("quorate/activated/v1", statement.hash(), signatures)


def is_signed(verify_key: bytes, message: bytes, signature: bytes) -> bool:
    """Is this Ed25519 signature valid? libsodium refuses small-order keys and non-canonical S."""
    if len(signature) != SIGNATURE_SIZE:
        return False
    try:
        sodium.crypto_sign_open(signature + message, verify_key)
    except CryptoError:
        return False
    return True


def _check_signatures(
    kind: str, context: SessionContext, message: bytes, signatures: Sequence[bytes]
) -> None:
    for index, signature in zip(context.indices, signatures, strict=True):
        if not is_signed(context.verify_key(index), message, signature):
            raise InvalidCertificate(kind, f"signature of participant {index} is not valid")


def _read_statement(reader: Reader) -> Statement:
    _expect_version(reader, "statement")
    context = parse_record(reader.variable(MAX_CONTEXT_BYTES, "context"), MAX_CONTEXT_BYTES, read_context)
    ssid = reader.fixed(HASH_SIZE, "ssid")
    curves = []
    for name in context.curves:
        size = curve_named(name).point_size
        root_key = reader.fixed(size, "root_key")
        shares = reader.vector(context.receivers, size, "public_shares")
        curves.append(CurveResult(name, root_key, shares, reader.fixed(HASH_SIZE, "chain_code")))
    kind = read_pair_setup_kind(reader)
    return Statement(context, ssid, tuple(curves), kind, reader.fixed(HASH_SIZE, "pair_setup_hash"))


def _read_certificate(reader: Reader) -> Certificate:
    _expect_version(reader, "certificate")
    statement = Statement.parse(reader.variable(MAX_STATEMENT_BYTES, "statement"))
    size = statement.context.size
    prepared = reader.vector(size, SIGNATURE_SIZE, "prepared")
    return Certificate(statement, prepared, reader.vector(size, SIGNATURE_SIZE, "activated"))


def _expect_version(reader: Reader, record: str) -> None:
    if reader.u8("version") != 1:
        raise EncodingError(f"{record}.version", "is not known")


def read_pair_setup_kind(reader: Reader) -> PairSetupKind:
    """Raises EncodingError for a kind that this version does not know."""
    try:
        return PairSetupKind(reader.u8("pair_setup_kind"))
    except ValueError:
        raise EncodingError("pair_setup_kind", "is not known") from None
