"""One holder's secret shares of the root keys, together with the public statement they belong to."""

from dataclasses import dataclass, field

from mpc.certificate import MAX_STATEMENT_BYTES, Statement
from mpc.curves import SCALAR_SIZE, curve_named
from mpc.encoding import Reader, Writer, parse_record
from mpc.errors import EncodingError, InvalidCertificate

MAX_KEY_SHARE_BYTES = MAX_STATEMENT_BYTES + 256


@dataclass(frozen=True)
class KeyShare:
    """A secret.

    index: 1..receivers; secret_shares: one scalar for each of statement.curves, in that order, never in repr.
    """

    index: int
    statement: Statement = field(repr=False)
    secret_shares: tuple[bytes, ...] = field(repr=False)

    def secret_share(self, curve: str) -> bytes:
        """The scalar share on this curve. Raises InvalidCertificate if the set has none."""
        self.statement.result(curve)
        return self.secret_shares[self.statement.context.curves.index(curve)]

    def verify(self) -> None:
        """Does each secret share times G equal this holder's public share? Raises InvalidCertificate."""
        size = self.statement.context.receivers
        if not 1 <= self.index <= size or len(self.secret_shares) != len(self.statement.curves):
            raise InvalidCertificate("key_share", "index or number of shares does not fit the statement")
        for result, secret in zip(self.statement.curves, self.secret_shares, strict=True):
            curve = curve_named(result.curve)
            try:
                public = curve.base_multiply(curve.parse_scalar(secret))
            except EncodingError:
                raise InvalidCertificate("secret_shares", "not a scalar") from None
            if public.encoded != result.public_shares[self.index - 1]:
                raise InvalidCertificate("secret_shares", "does not match the public share")

    def encode(self) -> bytes:
        """The record, secret included: the caller encrypts it."""
        writer = Writer().u8(1, "version").variable(self.statement.encode(), MAX_STATEMENT_BYTES, "statement")
        writer.u16(self.index, "index")
        return writer.vector(
            self.secret_shares, len(self.statement.curves), SCALAR_SIZE, "secret_shares"
        ).done()

    @classmethod
    def parse(cls, data: bytes) -> "KeyShare":
        """Raises EncodingError; InvalidCertificate if the share is not the statement's."""
        share = parse_record(data, MAX_KEY_SHARE_BYTES, _read_key_share)
        share.verify()
        return share


def _read_key_share(reader: Reader) -> KeyShare:
    if reader.u8("version") != 1:
        raise EncodingError("key_share.version", "is not known")
    statement = Statement.parse(reader.variable(MAX_STATEMENT_BYTES, "statement"))
    index = reader.u16("index")
    return KeyShare(index, statement, reader.vector(len(statement.curves), SCALAR_SIZE, "secret_shares"))
