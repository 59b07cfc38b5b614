"""Who runs which protocol for what: every message, proof and certificate of a session is bound to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mpc.encoding import HASH_SIZE, Reader, Writer, tagged_hash
from mpc.errors import EncodingError, InvalidParameters

MAX_PARTICIPANTS = 100
MAX_NAME = 64
MAX_NODE_ID = 128
MAX_CONTEXT_BYTES = 64 * 1024
VERIFY_KEY_SIZE = 32
# The only order in which a context may list curves, so that one choice of curves has one encoding.
CURVE_NAMES = ("secp256k1", "ed25519")

Sign = Callable[[bytes], bytes]


def _require(condition: bool, name: str, detail: str) -> None:
    if not condition:
        raise InvalidParameters(name, detail)


def _require_int(value: object, low: int, high: int, name: str) -> None:
    # bool is an int in Python; True must not pass for index 1.
    valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(valid, name, f"must be an integer from {low} to {high}")


def _require_text(value: object, limit: int, name: str) -> None:
    valid = isinstance(value, str) and 0 < len(value) <= limit and value.isascii() and value.isprintable()
    _require(valid, name, f"must be 1 to {limit} printable ASCII characters")


def _require_bytes(value: object, size: int, name: str) -> None:
    _require(isinstance(value, bytes) and len(value) == size, name, f"must be {size} bytes")


@dataclass(frozen=True)
class Participant:
    """A member of the roster. index: 1..n; verify_key: Ed25519, 32 bytes. Raises InvalidParameters."""

    index: int
    node_id: str
    verify_key: bytes

    def __post_init__(self) -> None:
        _require_int(self.index, 1, MAX_PARTICIPANTS, "participants.index")
        _require_text(self.node_id, MAX_NODE_ID, "participants.node_id")
        _require_bytes(self.verify_key, VERIFY_KEY_SIZE, "participants.verify_key")


@dataclass(frozen=True)
class SessionContext:
    """All that the participants agreed on before the first message (R2, R20).

    domain: authority domain; protocol: name and version; digest: of the intent, 32 bytes; attempt: from 1;
    role and epoch of the share set; manifest_hash: 32 bytes; previous_certificate_hash: 32 bytes or empty;
    threshold: holders needed; participants: indices exactly 1..n in order; curves: a subset of CURVE_NAMES in
    that order. threshold 1 needs allow_single, a local choice that is not part of the context's identity.
    Raises InvalidParameters that names the field.
    """

    domain: str
    protocol: str
    digest: bytes
    attempt: int
    role: str
    epoch: int
    manifest_hash: bytes
    previous_certificate_hash: bytes
    threshold: int
    participants: tuple[Participant, ...]
    curves: tuple[str, ...] = CURVE_NAMES
    allow_single: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        _require_text(self.domain, MAX_NAME, "domain")
        _require_text(self.protocol, MAX_NAME, "protocol")
        _require_bytes(self.digest, HASH_SIZE, "digest")
        _require_int(self.attempt, 1, 2**32 - 1, "attempt")
        _require_text(self.role, MAX_NAME, "role")
        _require_int(self.epoch, 0, 2**32 - 1, "epoch")
        _require_bytes(self.manifest_hash, HASH_SIZE, "manifest_hash")
        previous = self.previous_certificate_hash
        _require(isinstance(previous, bytes), "previous_certificate_hash", "must be bytes")
        _require(len(previous) in (0, HASH_SIZE), "previous_certificate_hash", "must be 32 bytes or empty")
        self._check_roster()
        valid_curves = self.curves == tuple(name for name in CURVE_NAMES if name in self.curves)
        _require(valid_curves and bool(self.curves), "curves", f"must be some of {CURVE_NAMES} in that order")

    def _check_roster(self) -> None:
        roster = self.participants
        valid = type(roster) is tuple and all(type(member) is Participant for member in roster)
        _require(valid, "participants", "must be a tuple of Participant")
        _require(1 <= len(roster) <= MAX_PARTICIPANTS, "participants", f"must be 1 to {MAX_PARTICIPANTS}")
        indices = [member.index for member in roster]
        _require(
            indices == list(range(1, len(roster) + 1)), "participants.index", "must be exactly 1..n in order"
        )
        _require(
            len({member.node_id for member in roster}) == len(roster), "participants.node_id", "is duplicated"
        )
        keys = {member.verify_key for member in roster}
        _require(len(keys) == len(roster), "participants.verify_key", "is duplicated")
        lowest = 1 if self.allow_single else 2
        _require_int(self.threshold, lowest, len(roster), "threshold")

    @property
    def size(self) -> int:
        """n, the number of participants."""
        return len(self.participants)

    @property
    def indices(self) -> range:
        return range(1, self.size + 1)

    def others(self, index: int) -> tuple[int, ...]:
        return tuple(other for other in self.indices if other != index)

    def verify_key(self, index: int) -> bytes:
        return self.participants[index - 1].verify_key

    def encode(self) -> bytes:
        """The one encoding of these fields (allow_single excepted)."""
        writer = Writer().u8(1, "version").text(self.domain, MAX_NAME).text(self.protocol, MAX_NAME)
        writer.fixed(self.digest, HASH_SIZE).u32(self.attempt).text(self.role, MAX_NAME).u32(self.epoch)
        writer.fixed(self.manifest_hash, HASH_SIZE).variable(self.previous_certificate_hash, HASH_SIZE)
        writer.u16(self.threshold).u16(self.size)
        for member in self.participants:
            writer.text(member.node_id, MAX_NODE_ID).fixed(member.verify_key, VERIFY_KEY_SIZE)
        writer.u8(len(self.curves))
        for name in self.curves:
            writer.text(name, MAX_NAME)
        return writer.done()

    def session_id(self) -> bytes:
        """T_0 of the transcript, 32 bytes; ssid (R20) follows from it and every participant's nonce."""
        return tagged_hash("quorate/session/v1", self.encode())


def read_context(reader: Reader) -> SessionContext:
    """Read `SessionContext.encode()`. threshold 1 is accepted: policy is applied when a session starts.

    Raises EncodingError.
    """
    if reader.u8("context.version") != 1:
        raise EncodingError("context.version", "is not known")
    domain, protocol = reader.text(MAX_NAME, "domain"), reader.text(MAX_NAME, "protocol")
    digest, attempt = reader.fixed(HASH_SIZE, "digest"), reader.u32("attempt")
    role, epoch = reader.text(MAX_NAME, "role"), reader.u32("epoch")
    manifest_hash = reader.fixed(HASH_SIZE, "manifest_hash")
    previous = reader.variable(HASH_SIZE, "previous_certificate_hash")
    threshold, size = reader.u16("threshold"), reader.u16("participants")
    if not 1 <= size <= MAX_PARTICIPANTS:
        raise EncodingError("participants", f"must be 1 to {MAX_PARTICIPANTS}")
    try:
        roster = tuple(
            Participant(
                index, reader.text(MAX_NODE_ID, "node_id"), reader.fixed(VERIFY_KEY_SIZE, "verify_key")
            )
            for index in range(1, size + 1)
        )
        count = reader.u8("curves")
        if not 1 <= count <= len(CURVE_NAMES):
            raise EncodingError("curves", "wrong number")
        curves = tuple(reader.text(MAX_NAME, "curves") for _ in range(count))
        return SessionContext(
            domain=domain,
            protocol=protocol,
            digest=digest,
            attempt=attempt,
            role=role,
            epoch=epoch,
            manifest_hash=manifest_hash,
            previous_certificate_hash=previous,
            threshold=threshold,
            participants=roster,
            curves=curves,
            allow_single=True,
        )
    except InvalidParameters as error:
        raise EncodingError(error.field, error.detail) from None
