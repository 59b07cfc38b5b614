"""What a holder signs about one of its share sets outside of a ceremony (R26, R28).

`erased`: the share is gone from this node. `abandoned`: this node has not signed `activated` for the set and
never will, so the set can never be final and another attempt from the same base is safe. Both can be shown to
anybody.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mpc.encoding import tagged_hash
from wire.canonical import MAX_SAFE_INTEGER, Json
from wire.fields import Fields
from wire.signatures import verify_signature

ERASED, ABANDONED = "erased", "abandoned"
STATES = (ERASED, ABANDONED)
_TAG = "quorate/set-statement/v1"


@dataclass(frozen=True)
class SetStatement:
    """state: ERASED or ABANDONED; session_id: of the ceremony that made the set, 32 bytes; time: Unix
    milliseconds; signature: the node's identity key's, 64 bytes."""

    state: str
    vault_id: str
    group_id: str
    epoch: int
    session_id: bytes
    node_id: str
    time: int
    signature: bytes

    def signed_bytes(self) -> bytes:
        texts = (self.state, self.vault_id, self.group_id, self.node_id)
        numbers = (self.epoch.to_bytes(4, "big"), self.time.to_bytes(8, "big"))
        return tagged_hash(_TAG, *(text.encode() for text in texts), self.session_id, *numbers)

    def verify(self, verify_key: bytes) -> bool:
        return verify_signature(verify_key, self.signed_bytes(), self.signature)

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "state": self.state,
            "vault_id": self.vault_id,
            "group_id": self.group_id,
            "epoch": self.epoch,
            "session_id": self.session_id.hex(),
            "node_id": self.node_id,
            "time": self.time,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Json, path: str = "statement") -> "SetStatement":
        """Parse; does not verify. Raises WireError."""
        fields = Fields(value, path)
        fields.version()
        statement = cls(
            state=fields.text("state", choices=STATES),
            vault_id=fields.identifier("vault_id"),
            group_id=fields.identifier("group_id"),
            epoch=fields.integer("epoch", low=1, high=2**32 - 1),
            session_id=fields.hex("session_id", 32),
            node_id=fields.identifier("node_id"),
            time=fields.integer("time", high=MAX_SAFE_INTEGER),
            signature=fields.hex("signature", 64),
        )
        fields.end()
        return statement

    @classmethod
    def sign(
        cls,
        sign: Callable[[bytes], bytes],
        *,
        state: str,
        vault_id: str,
        group_id: str,
        epoch: int,
        session_id: bytes,
        node_id: str,
        time: int,
    ) -> "SetStatement":
        """Make the statement of `node_id`; `sign` is its identity key's Ed25519 (message -> 64 bytes)."""
        unsigned = cls(state, vault_id, group_id, epoch, session_id, node_id, time, b"")
        return replace(unsigned, signature=sign(unsigned.signed_bytes()))
