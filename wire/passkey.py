"""A holder's decision about an intent, signed by a person's passkey (R9).

What an authenticator signs is fixed by WebAuthn: its own data and the hash of the browser's. What they are
about is in the challenge, which the verifier makes again from the decision itself and compares byte by byte.
"""

import base64
from dataclasses import dataclass
from hashlib import sha256

from wire.approval import DECISIONS
from wire.canonical import MAX_SAFE_INTEGER, CanonicalError, Json, canonical_bytes, parse_json
from wire.credential import MAX_ID_SIZE, Credential
from wire.fields import Fields

MAX_CLIENT_DATA, MAX_AUTHENTICATOR_DATA, MAX_SIGNATURE = 2048, 1024, 128
MAX_REASON = 500
_PREFIX = b"quorate/webauthn/v1"
# Authenticator data: SHA-256 of the rp_id, flags, u32 counter; then extensions, if the flags say so.
_FIXED_SIZE = 37
_PRESENT, _VERIFIED, _ATTESTED, _EXTENDED = 0x01, 0x04, 0x40, 0x80


class PasskeyError(ValueError):
    """A passkey vote that does not count; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


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

        Raises PasskeyError: unknown_credential, bad_client_data, wrong_type, wrong_challenge, wrong_origin,
        cross_origin, bad_authenticator_data, wrong_rp_id, user_not_present, user_not_verified,
        forged_passkey.
        """
        if self.credential_id != credential.id:
            raise PasskeyError("unknown_credential", "it names another credential")
        self._check_client_data(credential)
        counter = self._check_authenticator_data(credential)
        if not credential.verify(self.authenticator_data + sha256(self.client_data).digest(), self.signature):
            raise PasskeyError("forged_passkey", "the signature is not the passkey's")
        return counter

    def _check_client_data(self, credential: Credential) -> None:
        try:
            said = parse_json(self.client_data, max_bytes=MAX_CLIENT_DATA)
        except CanonicalError as error:
            raise PasskeyError("bad_client_data", str(error)) from None
        if not isinstance(said, dict):
            raise PasskeyError("bad_client_data", "the client data is no object")
        if said.get("type") != "webauthn.get":
            raise PasskeyError("wrong_type", "it is no assertion")
        if said.get("challenge") != base64.urlsafe_b64encode(self.challenge()).rstrip(b"=").decode():
            raise PasskeyError("wrong_challenge", "the passkey signed something else than this decision")
        if said.get("origin") not in credential.origins:
            raise PasskeyError("wrong_origin", "it was given on another site than those of the credential")
        if said.get("crossOrigin", False) is not False:
            raise PasskeyError("cross_origin", "it was given inside another site's page")

    def _check_authenticator_data(self, credential: Credential) -> int:
        data = self.authenticator_data
        flags = data[32] if len(data) >= _FIXED_SIZE else _ATTESTED
        # A key has no place in an assertion, and nothing follows that the flags do not announce.
        if flags & _ATTESTED or (len(data) > _FIXED_SIZE) != bool(flags & _EXTENDED):
            raise PasskeyError("bad_authenticator_data", "the authenticator data is no assertion's")
        if data[:32] != sha256(credential.rp_id.encode()).digest():
            raise PasskeyError("wrong_rp_id", "it was given for another site")
        if not flags & _PRESENT:
            raise PasskeyError("user_not_present", "nobody touched the authenticator")
        if not flags & _VERIFIED:
            raise PasskeyError("user_not_verified", "the authenticator did not check who its user is")
        return int.from_bytes(data[33:_FIXED_SIZE], "big")

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
