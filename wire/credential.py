"""A passkey credential on a holder's card: whose signatures count as that holder's passkey votes (R7)."""

import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from mnemonic import Mnemonic

from mpc.encoding import tagged_hash
from wire.canonical import Json, canonical_bytes
from wire.fields import Fields, WireError
from wire.signatures import verify_signature

ES256, EDDSA = "ES256", "EdDSA"
ALGORITHMS = (ES256, EDDSA)
MAX_CREDENTIALS = 4
MAX_ID_SIZE = 255
_KEY_SIZES = {ES256: 33, EDDSA: 32}
_MAX_ORIGINS = 4
_MAX_NAME = 128
_MAX_LABEL = 40
_HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_RP_ID = re.compile(_HOST)
# A browser offers passkeys over HTTPS, and without it to this machine only.
_ORIGIN = re.compile(rf"(?:https://(?P<host>{_HOST})|http://(?P<local>localhost))(?::[1-9][0-9]{{0,4}})?")
_TAG = "quorate/credential/v1"


@dataclass(frozen=True)
class Credential:
    """id: 1 to 255 bytes; algorithm: ES256 or EdDSA; public_key: 33 bytes (P-256, compressed) or 32; rp_id:
    host name; origins: the exact ones, sorted; label: what its owner calls it."""

    id: bytes
    algorithm: str
    public_key: bytes
    rp_id: str
    origins: tuple[str, ...]
    label: str

    def to_json(self) -> dict[str, Json]:
        return {
            "id": self.id.hex(),
            "algorithm": self.algorithm,
            "public_key": self.public_key.hex(),
            "rp_id": self.rp_id,
            "origins": list(self.origins),
            "user_verification": "required",
            "label": self.label,
        }

    def fingerprint(self) -> bytes:
        """32 bytes over all of it; a person compares page and node by them (R7)."""
        return tagged_hash(_TAG, canonical_bytes(self.to_json()))

    def words(self) -> str:
        """Twelve words of BIP 39's English list for the fingerprint's first 128 bits."""
        return Mnemonic("english").to_mnemonic(self.fingerprint()[:16])

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this credential's over `message`.

        Ed25519: strict; ES256: strict DER of ECDSA over SHA-256. Both s of an ECDSA signature pass, as
        authenticators make either: a vote counts once whatever bytes it has (P18). Never raises.
        """
        if self.algorithm == EDDSA:
            return verify_signature(self.public_key, message, signature)
        try:
            r, s = decode_dss_signature(signature)
            if encode_dss_signature(r, s) != signature:
                return False
            _point(self.public_key).verify(signature, message, ec.ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            return False
        return True

    @classmethod
    def from_json(cls, value: Json, path: str = "credential") -> "Credential":
        """Raises WireError that names the field."""
        fields = Fields(value, path)
        algorithm = fields.text("algorithm", choices=ALGORITHMS)
        credential = cls(
            id=fields.data("id", low=1, high=MAX_ID_SIZE),
            algorithm=algorithm,
            public_key=fields.hex("public_key", _KEY_SIZES[algorithm]),
            rp_id=fields.text("rp_id", max_length=_MAX_NAME),
            origins=fields.texts("origins", max_length=_MAX_ORIGINS),
            label=fields.text("label", max_length=_MAX_LABEL, empty=True),
        )
        # Without it whoever picks the authenticator up could vote.
        fields.text("user_verification", choices=("required",))
        fields.end()
        credential._check(fields)
        return credential

    def _check(self, fields: Fields) -> None:
        if self.algorithm == ES256:
            try:
                _point(self.public_key)
            except ValueError:
                raise WireError(fields.path("public_key"), "is no point of P-256") from None
        if not _RP_ID.fullmatch(self.rp_id):
            raise WireError(fields.path("rp_id"), "must be a host name in lower case")
        if not self.origins or list(self.origins) != sorted(self.origins):
            raise WireError(fields.path("origins"), "must be one to four, sorted")
        for position, origin in enumerate(self.origins):
            match = _ORIGIN.fullmatch(origin) if len(origin) <= _MAX_NAME else None
            host = (match["host"] or match["local"]) if match else ""
            if host != self.rp_id and not host.endswith(f".{self.rp_id}"):
                raise WireError(
                    f"{fields.path('origins')}[{position}]", "must be an https:// origin under the rp_id"
                )
        if not self.label.isprintable():
            raise WireError(fields.path("label"), "must be printable")


def _point(public_key: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
