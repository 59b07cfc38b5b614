"""A holder's decision about an intent, signed by its node key (R9)."""

from collections.abc import Callable
from dataclasses import dataclass

from mpc.encoding import tagged_hash
from wire.canonical import MAX_SAFE_INTEGER, Json
from wire.fields import Fields
from wire.signatures import verify_signature

# A rejection ends the request; a withdrawal takes the holder's own approval back. Both bind its node (R13).
APPROVE, REJECT, WITHDRAW = "approve", "reject", "withdraw"
DECISIONS = (APPROVE, REJECT, WITHDRAW)
_TAG = "quorate/approval/v1"


@dataclass(frozen=True)
class Approval:
    """A node approval: digest (32 bytes), decision, approver, time (Unix milliseconds), Ed25519 signature.

    `reason` is what the holder says about a rejection or withdrawal; it is signed too, free text for people.
    """

    digest: bytes
    decision: str
    node_id: str
    time: int
    reason: str
    signature: bytes

    def signed_bytes(self) -> bytes:
        return _signed_bytes(self.digest, self.decision, self.node_id, self.time, self.reason)

    def verify(self, verify_key: bytes) -> bool:
        """Whether the signature is the holder's, over exactly this decision."""
        return verify_signature(verify_key, self.signed_bytes(), self.signature)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "digest": self.digest.hex(),
            "decision": self.decision,
            "node_id": self.node_id,
            "time": self.time,
            "reason": self.reason,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Json, path: str = "approval") -> "Approval":
        """Parse; does not verify. Raises WireError."""
        fields = Fields(value, path)
        fields.version()
        approval = cls(
            digest=fields.hex("digest", 32),
            decision=fields.text("decision", choices=DECISIONS),
            node_id=fields.text("node_id", max_length=64),
            time=fields.integer("time", high=MAX_SAFE_INTEGER),
            reason=fields.text("reason", max_length=500, empty=True),
            signature=fields.hex("signature", 64),
        )
        fields.end()
        return approval

    @classmethod
    def sign(
        cls,
        sign: Callable[[bytes], bytes],
        *,
        digest: bytes,
        decision: str,
        node_id: str,
        time: int,
        reason: str = "",
    ) -> "Approval":
        """Make the decision of `node_id`; `sign` is its identity key's Ed25519 (message -> 64 bytes)."""
        return cls(
            digest,
            decision,
            node_id,
            time,
            reason,
            sign(_signed_bytes(digest, decision, node_id, time, reason)),
        )


def _signed_bytes(digest: bytes, decision: str, node_id: str, time: int, reason: str) -> bytes:
    return tagged_hash(
        _TAG, digest, decision.encode(), node_id.encode(), time.to_bytes(8, "big"), reason.encode()
    )
