"""An authenticator in software: real keys, registrations and assertions, and what a hostile one would do."""

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cbor
from fido2.cose import ES256 as Es256Key
from fido2.cose import EdDSA
from nacl.signing import SigningKey

from wire.credential import EDDSA, ES256, Credential
from wire.passkey import PasskeyApproval, challenge

ORIGIN, RP_ID = "http://localhost", "localhost"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """One passkey. Keyword arguments of its acts replace what an honest one would say."""

    algorithm: str = ES256
    origin: str = ORIGIN
    rp_id: str = RP_ID
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    counter: int = 0

    @property
    def _p256(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.seed, "big") >> 1, ec.SECP256R1())

    @property
    def public_key(self) -> bytes:
        if self.algorithm == EDDSA:
            return bytes(SigningKey(self.seed).verify_key)
        return self._p256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def sign(self, message: bytes) -> bytes:
        if self.algorithm == EDDSA:
            return SigningKey(self.seed).sign(message).signature
        return self._p256.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))

    def credential(self, label: str = "", **changes: Any) -> Credential:
        fields: dict[str, Any] = {
            "id": self.id,
            "algorithm": self.algorithm,
            "public_key": self.public_key,
            "rp_id": self.rp_id,
            "origins": (self.origin,),
            "label": label,
        }
        return Credential(**(fields | changes))

    # what a browser hands on

    def register(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The answer to navigator.credentials.create(options), as JSON."""
        public_key = options["publicKey"]
        cose = (
            EdDSA({1: 1, 3: -8, -1: 6, -2: self.public_key})
            if self.algorithm == EDDSA
            else Es256Key.from_cryptography_key(self._p256.public_key())  # type: ignore[no-untyped-call]
        )
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor.encode(dict(cose))
        flags = changes.pop("flags", PRESENT | VERIFIED) | ATTESTED
        data = self._authenticator_data(flags=flags, **changes) + attested
        client_data = self._client_data("webauthn.create", public_key["challenge"], **changes)
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        answer = {"clientDataJSON": base64url(client_data), "attestationObject": base64url(attestation)}
        return self._answer(answer)

    def get(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The answer to navigator.credentials.get(options), as JSON."""
        data, client_data, signature = self.assertion(options["publicKey"]["challenge"], **changes)
        return self._answer(
            {
                "clientDataJSON": base64url(client_data),
                "authenticatorData": base64url(data),
                "signature": base64url(signature),
            }
        )

    def assertion(self, encoded_challenge: str, **changes: Any) -> tuple[bytes, bytes, bytes]:
        """Authenticator data, client data and signature."""
        data = self._authenticator_data(**changes)
        client_data = self._client_data("webauthn.get", encoded_challenge, **changes)
        return data, client_data, self.sign(data + sha256(client_data).digest())

    def vote(
        self,
        *,
        digest: bytes,
        node_id: str,
        time: int,
        decision: str = "approve",
        reason: str = "",
        **changes: Any,
    ) -> PasskeyApproval:
        said: dict[str, Any] = {
            "digest": digest,
            "decision": decision,
            "node_id": node_id,
            "credential_id": self.id,
            "time": time,
            "reason": reason,
        }
        data, client_data, signature = self.assertion(base64url(challenge(**said)), **changes)
        return PasskeyApproval(**said, authenticator_data=data, client_data=client_data, signature=signature)

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        own_id = base64url(self.id)
        return {"id": own_id, "rawId": own_id, "type": "public-key", "response": response}

    def _authenticator_data(self, **changes: Any) -> bytes:
        self.counter += 1
        rp_id: str = changes.get("rp_id", self.rp_id)
        flags: int = changes.get("flags", PRESENT | VERIFIED)
        counter: int = changes.get("counter", self.counter)
        return sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")

    def _client_data(self, ceremony: str, encoded_challenge: str, **changes: Any) -> bytes:
        said = {
            "type": changes.get("type", ceremony),
            "challenge": changes.get("challenge", encoded_challenge),
            "origin": changes.get("origin", self.origin),
            "crossOrigin": changes.get("cross_origin", False),
        }
        return json.dumps(said).encode()
