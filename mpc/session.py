"""Who runs which protocol for what: every message, proof and certificate of a session is bound to it."""

from collections.abc import Callable, Iterable
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
KEYGEN, RESHARE = "keygen/1", "reshare/1"

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


def _without(index: int, indices: Iterable[int]) -> tuple[int, ...]:
    return tuple(other for other in indices if other != index)


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
class Dealer:
    """Who deals in a reshare. index: in this session; source_index: of its share in the source set.

    Raises InvalidParameters.
    """

    index: int
    source_index: int

    def __post_init__(self) -> None:
        _require_int(self.index, 1, MAX_PARTICIPANTS, "dealers.index")
        _require_int(self.source_index, 1, MAX_PARTICIPANTS, "dealers.source_index")


@dataclass(frozen=True)
class SessionContext:
    """All that the participants agreed on before the first message (R2, R20).

    domain: authority domain; protocol: name and version; digest: of the intent, 32 bytes; attempt: from 1;
    role and epoch of the share set; manifest_hash: 32 bytes; previous_certificate_hash: the source set's in a
    reshare, 32 bytes, else empty; threshold: holders needed; participants: indices exactly 1..n in order;
    curves: a subset of CURVE_NAMES in that order; dealers: of a reshare, by source_index, else empty and
    everybody deals; pure_dealers: how many participants, at the end, deal and receive nothing. The others are
    the receivers, whose index is that of their share. threshold 1 needs allow_single, a local choice that is
    not part of the context's identity. Raises InvalidParameters that names the field.
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
    dealers: tuple[Dealer, ...] = ()
    pure_dealers: int = 0
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
        self._check_dealers()
        lowest = 1 if self.allow_single else 2
        _require_int(self.threshold, lowest, self.receivers, "threshold")
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

    def _check_dealers(self) -> None:
        dealers = self.dealers
        valid = type(dealers) is tuple and all(type(dealer) is Dealer for dealer in dealers)
        _require(valid, "dealers", "must be a tuple of Dealer")
        _require(bool(dealers) == (self.protocol == RESHARE), "dealers", f"exist in {RESHARE} and only there")
        has_source = bool(self.previous_certificate_hash)
        _require(has_source == bool(dealers), "previous_certificate_hash", "goes with dealers")
        # Test 34: a share that is counted twice would not lie on the dealers' polynomial.
        sources = [dealer.source_index for dealer in dealers]
        _require(sources == sorted(set(sources)), "dealers.source_index", "must be distinct and in order")
        indices = {dealer.index for dealer in dealers}
        _require(len(indices) == len(dealers), "dealers.index", "is duplicated")
        _require(indices <= set(self.indices), "dealers.index", "must be 1..n")
        _require_int(self.pure_dealers, 0, self.size - 1, "pure_dealers")
        pure = set(self.indices[self.receivers :])
        _require(pure <= indices, "pure_dealers", "must be dealers")

    @property
    def size(self) -> int:
        """n, the number of participants."""
        return len(self.participants)

    @property
    def indices(self) -> range:
        return range(1, self.size + 1)

    @property
    def receivers(self) -> int:
        """How many participants hold a share of the new set: 1..receivers."""
        return self.size - self.pure_dealers

    @property
    def receiver_indices(self) -> range:
        return range(1, self.receivers + 1)

    @property
    def dealer_indices(self) -> tuple[int, ...]:
        """Who deals, in index order."""
        return tuple(sorted(dealer.index for dealer in self.dealers)) or tuple(self.indices)

    def others(self, index: int) -> tuple[int, ...]:
        return _without(index, self.indices)

    def other_receivers(self, index: int) -> tuple[int, ...]:
        return _without(index, self.receiver_indices)

    def other_dealers(self, index: int) -> tuple[int, ...]:
        return _without(index, self.dealer_indices)

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
        writer.u16(len(self.dealers))
        for dealer in self.dealers:
            writer.u16(dealer.index).u16(dealer.source_index)
        return writer.u16(self.pure_dealers).done()

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
        count = reader.u16("dealers")
        if count > size:
            raise EncodingError("dealers", "more than participants")
        dealers = tuple(
            Dealer(reader.u16("dealers.index"), reader.u16("dealers.source_index")) for _ in range(count)
        )
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
            dealers=dealers,
            pure_dealers=reader.u16("pure_dealers"),
            allow_single=True,
        )
    except InvalidParameters as error:
        raise EncodingError(error.field, error.detail) from None
