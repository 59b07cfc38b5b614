"""The two signatures of a delivery: the vendor's, and those of Standard Webhooks (v1 HMAC, v1a Ed25519).

An endpoint's secrets are derived from the site's response key, the endpoint's id and a generation number, so
no table and no backup of one holds a secret; rotating means the next generation (docs/webhooks.md).
"""

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from nacl.signing import SigningKey

from mpc.encoding import tagged_hash
from vaults.api.signatures import double_sha256
from webhooks.models import WebhookEndpoint

_TAG = "quorate/webhook-secret/v1"
_PREFIX = "whsec_"
_MASK = "[secret]"
_SECRETS = re.compile(r"wh(sec|sk)_[A-Za-z0-9+/=_-]+")


@dataclass(frozen=True)
class Secrets:
    """What one generation signs with."""

    hmac_key: bytes  # 32 bytes
    signing_key: SigningKey

    @property
    def secret(self) -> str:
        """For the consumer: verifies v1; whoever has it can also forge v1."""
        return _PREFIX + base64.b64encode(self.hmac_key).decode()

    @property
    def public_key(self) -> str:
        """For the consumer: verifies v1a and can forge nothing."""
        return f"whpk_{base64.b64encode(bytes(self.signing_key.verify_key)).decode()}"

    def sign(self, message: bytes) -> str:
        """Both signatures, as webhook-signature lists them."""
        v1 = base64.b64encode(hmac.digest(self.hmac_key, message, "sha256")).decode()
        v1a = base64.b64encode(self.signing_key.sign(message).signature).decode()
        return f"v1,{v1} v1a,{v1a}"


def secrets_of(endpoint: WebhookEndpoint, generation: int) -> Secrets:
    """The secrets of one generation of an endpoint."""
    seed: bytes = settings.QUORATE["RESPONSE_SIGNING_KEY"]
    root = tagged_hash(_TAG, seed, endpoint.pk.bytes, generation.to_bytes(8, "big"))
    return Secrets(
        hmac.digest(root, b"v1", "sha256"),
        SigningKey(hmac.digest(root, b"v1a", "sha256")),
    )


@dataclass(frozen=True)
class Signer:
    """Signs what goes to one endpoint at one time."""

    site_key: SigningKey
    secrets: tuple[Secrets, ...]

    def headers(self, *, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
        """The signature headers of one attempt: the id is the event's, the time the attempt's own."""
        milliseconds = str(int(now.timestamp() * 1000))
        vendor = self.site_key.sign(double_sha256(body + b"|" + milliseconds.encode())).signature
        seconds = str(int(now.timestamp()))
        message = b".".join((event_id.encode(), seconds.encode(), body))
        return {
            "BIZ-TIMESTAMP": milliseconds,
            "BIZ-RESP-SIGNATURE": vendor.hex(),
            "webhook-id": event_id,
            "webhook-timestamp": seconds,
            "webhook-signature": " ".join(each.sign(message) for each in self.secrets),
        }

    def masked(self, text: str) -> str:
        """The text without the endpoint's secrets: a receiver's error page may echo them (W12)."""
        text = _SECRETS.sub(_MASK, text)
        for each in self.secrets:
            text = text.replace(each.secret.removeprefix(_PREFIX), _MASK)
        return text


def signer_of(endpoint: WebhookEndpoint, now: datetime) -> Signer:
    """The newest secrets first, then those before them while they still count (W06)."""
    generations = [endpoint.secret_generation]
    if endpoint.previous_secret_until is not None and now < endpoint.previous_secret_until:
        generations.append(endpoint.secret_generation - 1)
    site_key = SigningKey(settings.QUORATE["RESPONSE_SIGNING_KEY"])
    return Signer(site_key, tuple(secrets_of(endpoint, generation) for generation in generations))
