"""How an approved intent becomes the context of a ceremony.

Coordinator and nodes derive the same session id (R20).
"""

from mpc.session import Participant, SessionContext
from wire.intent import KeyGenIntent
from wire.manifest import Manifest

KEYGEN_PROTOCOL = "keygen/1"
MAX_ATTEMPTS = 5  # R20


def key_gen_context(intent: KeyGenIntent, manifest: Manifest, attempt: int) -> SessionContext:
    """The context of attempt 1..5 of a KeyGen among all holders of the manifest that the intent names."""
    return SessionContext(
        domain=intent.domain,
        protocol=intent.protocol,
        digest=intent.digest(),
        attempt=attempt,
        role=manifest.role,
        epoch=manifest.epoch,
        manifest_hash=manifest.hash(),
        previous_certificate_hash=b"",
        threshold=manifest.threshold,
        participants=tuple(
            Participant(index=index, node_id=card.node_id, verify_key=card.signing_key)
            for index, card in enumerate(manifest.holders, start=1)
        ),
        curves=intent.curves,
    )
