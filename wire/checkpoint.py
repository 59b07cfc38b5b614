"""Signed checkpoints of the coordinator's audit log, and what nodes sign about them.

A row's hash is `link_hash(hash of the row before, digest of its content)`. So whoever has a checkpoint can
check with the 32-byte digests alone, without the rows, that a later one extends it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mpc.encoding import tagged_hash
from wire.canonical import MAX_SAFE_INTEGER, Json, parse_json
from wire.fields import Fields, WireError
from wire.signatures import verify_signature

# How many rows one checkpoint may lie behind the next: their digests travel in one answer.
MAX_LINKS = 2000
MAX_CHECKPOINT_BYTES = 4096
SEEN, FORK, WENT_BACK, OTHER_KEY = "seen", "audit_fork", "audit_went_back", "audit_other_key"
VERDICTS = (SEEN, FORK, WENT_BACK, OTHER_KEY)
_LINK_TAG = "quorate/audit/v2"
_CHECKPOINT_TAG = "quorate/audit-checkpoint/v1"
_WITNESS_TAG = "quorate/audit-witness/v1"


def link_hash(previous: bytes, digest: bytes) -> bytes:
    """The hash of a row from its predecessor's hash and the digest of its content, 32 bytes each."""
    return tagged_hash(_LINK_TAG, previous, digest)


def follow(start: bytes, digests: Iterable[bytes]) -> bytes:
    """The hash that the chain has after rows with these digests, 32 bytes."""
    for digest in digests:
        start = link_hash(start, digest)
    return start


@dataclass(frozen=True)
class Checkpoint:
    """The coordinator's word that row `sequence` of its audit log has the hash `row_hash` (32 bytes).

    time: Unix milliseconds; key: its Ed25519 response key, 32 bytes; signature: 64 bytes.
    """

    sequence: int
    row_hash: bytes
    time: int
    key: bytes
    signature: bytes

    def signed_bytes(self) -> bytes:
        numbers = (self.sequence.to_bytes(8, "big"), self.time.to_bytes(8, "big"))
        return tagged_hash(_CHECKPOINT_TAG, *numbers, self.row_hash, self.key)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "sequence": self.sequence,
            "row_hash": self.row_hash.hex(),
            "time": self.time,
            "key": self.key.hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Json, path: str = "checkpoint") -> "Checkpoint":
        """Parse and verify against the key that it names. Raises WireError."""
        fields = Fields(value, path)
        fields.version()
        checkpoint = cls(
            sequence=fields.integer("sequence", low=1),
            row_hash=fields.hex("row_hash", 32),
            time=fields.integer("time", high=MAX_SAFE_INTEGER),
            key=fields.hex("key", 32),
            signature=fields.hex("signature", 64),
        )
        fields.end()
        if not verify_signature(checkpoint.key, checkpoint.signed_bytes(), checkpoint.signature):
            raise WireError(fields.path("signature"), "is not the signature of this key over the checkpoint")
        return checkpoint

    @classmethod
    def sign(
        cls, sign: Callable[[bytes], bytes], *, sequence: int, row_hash: bytes, time: int, key: bytes
    ) -> "Checkpoint":
        """Make a checkpoint; `sign` is the Ed25519 of `key` (message -> 64 bytes)."""
        unsigned = cls(sequence, row_hash, time, key, b"")
        return replace(unsigned, signature=sign(unsigned.signed_bytes()))


@dataclass(frozen=True)
class Witness:
    """A node's signed word about a checkpoint that it was shown.

    verdict: SEEN countersigns it; the others are alarms, and `earlier` is the checkpoint that it contradicts:
    the two signatures show it to anybody. time: Unix milliseconds.
    """

    verdict: str
    checkpoint: Checkpoint
    earlier: Checkpoint | None
    node_id: str
    time: int
    signature: bytes

    def signed_bytes(self) -> bytes:
        earlier = self.earlier.signed_bytes() if self.earlier else b""
        texts = (self.verdict.encode(), self.node_id.encode())
        return tagged_hash(
            _WITNESS_TAG, *texts, self.checkpoint.signed_bytes(), earlier, self.time.to_bytes(8, "big")
        )

    def verify(self, verify_key: bytes) -> bool:
        return verify_signature(verify_key, self.signed_bytes(), self.signature)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "verdict": self.verdict,
            "checkpoint": self.checkpoint.to_json(),
            "earlier": self.earlier.to_json() if self.earlier else None,
            "node_id": self.node_id,
            "time": self.time,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Json, path: str = "witness") -> "Witness":
        """Parse, and verify the checkpoints in it; its own signature is for `verify`. Raises WireError."""
        fields = Fields(value, path)
        fields.version()
        verdict = fields.text("verdict", choices=VERDICTS)
        checkpoint = Checkpoint.from_json(fields.take("checkpoint"), fields.path("checkpoint"))
        earlier = fields.take("earlier")
        witness = cls(
            verdict=verdict,
            checkpoint=checkpoint,
            earlier=None if earlier is None else Checkpoint.from_json(earlier, fields.path("earlier")),
            node_id=fields.identifier("node_id"),
            time=fields.integer("time", high=MAX_SAFE_INTEGER),
            signature=fields.hex("signature", 64),
        )
        fields.end()
        if (witness.earlier is None) != (verdict == SEEN):
            raise WireError(fields.path("earlier"), "belongs to an alarm, and every alarm has it")
        return witness

    @classmethod
    def sign(
        cls,
        sign: Callable[[bytes], bytes],
        *,
        verdict: str,
        checkpoint: Checkpoint,
        earlier: Checkpoint | None,
        node_id: str,
        time: int,
    ) -> "Witness":
        """Make the word of `node_id`; `sign` is its identity key's Ed25519 (message -> 64 bytes)."""
        unsigned = cls(verdict, checkpoint, earlier, node_id, time, b"")
        return replace(unsigned, signature=sign(unsigned.signed_bytes()))


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint file: a checkpoint, or a node's word about one, whose checkpoint counts.

    Raises CanonicalError or WireError.
    """
    value = parse_json(data, max_bytes=MAX_CHECKPOINT_BYTES)
    if isinstance(value, dict) and "verdict" in value:
        return Witness.from_json(value).checkpoint
    return Checkpoint.from_json(value)


def judge(seen: Checkpoint, shown: Checkpoint, digests: Iterable[bytes]) -> str:
    """What `shown` is to somebody who has `seen`.

    digests: of the rows between them, oldest first, 32 bytes each.
    """
    if shown.key != seen.key:
        return OTHER_KEY
    if shown.sequence < seen.sequence:
        return WENT_BACK
    links = tuple(digests)
    extends = len(links) == shown.sequence - seen.sequence and follow(seen.row_hash, links) == shown.row_hash
    return SEEN if extends else FORK
