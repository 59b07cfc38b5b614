"""A holder's decision about an intent, signed by a person's passkey (R9).

What an authenticator signs is fixed by WebAuthn: its own data and the hash of the browser's. What they are
about is in the challenge, which the verifier makes again from the decision itself and compares byte by byte.
"""

from dataclasses import dataclass
from hashlib import sha256

from wire.approval import DECISIONS
from wire.assertion import (
    MAX_AUTHENTICATOR_DATA,
    MAX_CLIENT_DATA,
    MAX_SIGNATURE,
    PasskeyError,
    verify_assertion,
)
from wire.canonical import MAX_SAFE_INTEGER, Json, canonical_bytes
from wire.credential import MAX_ID_SIZE, Credential
from wire.fields import Fields

MAX_REASON = 500
_PREFIX = b"quorate/webauthn/v1"


def challenge(
    *, digest: bytes, decision: str, node_id: str, credential_id: bytes, time: int, reason: str
) -> bytes:
    """32 bytes for the authenticator: they say what is decided, for which holder, when and with what.

    R9's fields and the reason, so that nobody changes what a person said.
    """
    said = {
        "digest": digest.hex(),
        "decision": decision,
        "node_id": node_id,
        "credential_id": credential_id.hex(),
        "time": time,
        "reason": reason,
    }
    return sha256(_PREFIX + canonical_bytes(said)).digest()


@dataclass(frozen=True)
class PasskeyApproval:
    """A passkey vote for the holder `node_id`: digest (32 bytes), decision, time (Unix milliseconds), reason.

    authenticator_data, client_data, signature: as WebAuthn returned them.
    """

    digest: bytes
    decision: str
    node_id: str
    credential_id: bytes
    time: int
    reason: str
    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    def challenge(self) -> bytes:
        return challenge(
            digest=self.digest,
            decision=self.decision,
            node_id=self.node_id,
            credential_id=self.credential_id,
            time=self.time,
            reason=self.reason,
        )

    def says(self) -> tuple[bytes, str, str, bytes, int, str]:
        """What was decided, without the bytes that prove it: a second signature of the same is no second
        vote (P18)."""
        return self.digest, self.decision, self.node_id, self.credential_id, self.time, self.reason

    def verify(self, credential: Credential) -> int:
        """Check that the credential signed exactly this decision; the authenticator's counter.

        Raises PasskeyError: unknown_credential, and those of wire.assertion.
        """
        if self.credential_id != credential.id:
            raise PasskeyError("unknown_credential", "it names another credential")
        return verify_assertion(
            credential,
            challenge=self.challenge(),
            authenticator_data=self.authenticator_data,
            client_data=self.client_data,
            signature=self.signature,
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "v": 1,
            "digest": self.digest.hex(),
            "decision": self.decision,
            "node_id": self.node_id,
            "credential_id": self.credential_id.hex(),
            "time": self.time,
            "reason": self.reason,
            "authenticator_data": self.authenticator_data.hex(),
            "client_data": self.client_data.hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Json, path: str = "passkey") -> "PasskeyApproval":
        """Parse; does not verify. Raises WireError."""
        fields = Fields(value, path)
        fields.version()
        vote = cls(
            digest=fields.hex("digest", 32),
            decision=fields.text("decision", choices=DECISIONS),
            node_id=fields.identifier("node_id"),
            credential_id=fields.data("credential_id", low=1, high=MAX_ID_SIZE),
            time=fields.integer("time", high=MAX_SAFE_INTEGER),
            reason=fields.text("reason", max_length=MAX_REASON, empty=True),
            authenticator_data=fields.data("authenticator_data", high=MAX_AUTHENTICATOR_DATA),
            client_data=fields.data("client_data", high=MAX_CLIENT_DATA),
            signature=fields.data("signature", high=MAX_SIGNATURE),
        )
        fields.end()
        return vote


def is_passkey(value: Json) -> bool:
    """Whether an entry of a list of decisions was signed by a passkey; the others are node approvals."""
    return isinstance(value, dict) and "credential_id" in value
