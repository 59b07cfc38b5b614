"""The envelope: one signed protocol message in a mailbox slot (R22)."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from mpc.encoding import HASH_SIZE, Reader, Writer, parse_record, tagged_hash
from mpc.errors import EncodingError
from wire.signatures import verify_signature

VERSION = 1
ROUND_MESSAGE, ABORT = 1, 2
TYPES = (ROUND_MESSAGE, ABORT)
MAX_BODY = 1 << 20
MAX_ENVELOPE = MAX_BODY + 512
MAX_PROTOCOL_NAME = 64
SIGNATURE_SIZE = 64
_TAG = "quorate/envelope/v1"


class EnvelopeError(ValueError):
    """Bytes that are not an envelope, or one that does not belong here; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Envelope:
    """A message of participant `sender` (index) in a session.

    type: ROUND_MESSAGE or ABORT; session_id: 32 bytes; protocol: its name and version; round: 0..255;
    recipient: index, or 0 for everyone; body: at most 1 MiB; signature: 64 bytes, Ed25519.
    """

    type: int
    session_id: bytes
    protocol: str
    round: int
    sender: int
    recipient: int
    body: bytes
    signature: bytes

    @property
    def slot(self) -> tuple[int, int, int, int]:
        """The place in a session's mailbox that takes one value only: (type, round, sender, recipient)."""
        return (self.type, self.round, self.sender, self.recipient)

    def signed_bytes(self) -> bytes:
        header = _header(self.type, self.session_id, self.protocol, self.round, self.sender, self.recipient)
        return _signed_bytes(header, self.body)

    def encode(self) -> bytes:
        writer = _header(self.type, self.session_id, self.protocol, self.round, self.sender, self.recipient)
        return (
            writer.variable(self.body, MAX_BODY, "body")
            .fixed(self.signature, SIGNATURE_SIZE, "signature")
            .done()
        )

    def verify(self, verify_key: bytes) -> bool:
        return verify_signature(verify_key, self.signed_bytes(), self.signature)

    @classmethod
    def parse(cls, data: bytes) -> "Envelope":
        """Parse one envelope that fills `data`. Raises EnvelopeError; does not verify the signature."""
        if len(data) > MAX_ENVELOPE:
            raise EnvelopeError("too_large", f"an envelope has at most {MAX_ENVELOPE} bytes")
        try:
            envelope = parse_record(data, MAX_ENVELOPE, cls._read)
        except EncodingError as error:
            raise EnvelopeError("malformed", str(error)) from None
        if envelope.sender == 0 or envelope.sender == envelope.recipient:
            raise EnvelopeError("malformed", "sender and recipient are not two participants")
        return envelope

    @classmethod
    def _read(cls, reader: Reader) -> "Envelope":
        version, kind = reader.u8("version"), reader.u8("type")
        if version != VERSION:
            raise EnvelopeError("unknown_version", f"envelope version {version} is unknown")
        if kind not in TYPES:
            raise EnvelopeError("unknown_type", f"envelope type {kind} is unknown")
        return cls(
            type=kind,
            session_id=reader.fixed(HASH_SIZE, "session_id"),
            protocol=reader.text(MAX_PROTOCOL_NAME, "protocol"),
            round=reader.u8("round"),
            sender=reader.u16("sender"),
            recipient=reader.u16("recipient"),
            body=reader.variable(MAX_BODY, "body"),
            signature=reader.fixed(SIGNATURE_SIZE, "signature"),
        )

    @classmethod
    def seal(
        cls,
        sign: Callable[[bytes], bytes],
        *,
        type: int,
        session_id: bytes,
        protocol: str,
        round: int,
        sender: int,
        recipient: int,
        body: bytes,
    ) -> "Envelope":
        """Make and sign an envelope; `sign` is the sender's identity key."""
        if len(body) > MAX_BODY:
            raise EnvelopeError("too_large", f"a body has at most {MAX_BODY} bytes")
        header = _header(type, session_id, protocol, round, sender, recipient)
        return cls(
            type, session_id, protocol, round, sender, recipient, body, sign(_signed_bytes(header, body))
        )


def _header(type: int, session_id: bytes, protocol: str, round: int, sender: int, recipient: int) -> Writer:
    writer = Writer().u8(VERSION, "version").u8(type, "type").fixed(session_id, HASH_SIZE, "session_id")
    writer.text(protocol, MAX_PROTOCOL_NAME, "protocol").u8(round, "round")
    return writer.u16(sender, "sender").u16(recipient, "recipient")


def _signed_bytes(header: Writer, body: bytes) -> bytes:
    return tagged_hash(_TAG, header.done(), sha256(body).digest())
