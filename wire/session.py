"""How an approved intent becomes the context of a ceremony.

Coordinator and nodes derive the same session id (R20).
"""

from collections.abc import Collection, Sequence

from mpc.session import Dealer, Participant, SessionContext
from wire.fields import WireError
from wire.intent import KEY_GEN, Intent
from wire.manifest import Manifest

KEYGEN_PROTOCOL = "keygen/1"
RESHARE_PROTOCOL = "reshare/1"
MAX_ATTEMPTS = 5  # R20


def protocol_of(type: str) -> str:
    """The protocol that a request type with a ceremony runs."""
    return KEYGEN_PROTOCOL if type == KEY_GEN else RESHARE_PROTOCOL


def choose_dealers(intent: Intent, willing: Collection[str]) -> tuple[str, ...]:
    """The first t eligible source holders that are willing; fewer when there are not enough (R21)."""
    if intent.source is None:
        return ()
    return tuple(node_id for node_id in intent.eligible if node_id in willing)[: intent.source.threshold]


def session_context(
    intent: Intent,
    manifest: Manifest,
    source_manifest: Manifest | None,
    attempt: int,
    dealers: Sequence[str] = (),
) -> SessionContext:
    """The context of attempt 1..5.

    dealers: node ids of the source holders that deal, in any order; none for KeyGen, where everybody does.
    Participants are the holders of the target manifest in order, then the dealers that are not among them.
    Raises WireError for a dealer that is no source holder; InvalidParameters.
    """
    target_ids = manifest.node_ids
    source_cards = []
    for node_id in dealers:
        try:
            if source_manifest is None:
                raise KeyError(node_id)
            source_cards.append((source_manifest.index_of(node_id), source_manifest.card_of(node_id)))
        except KeyError:
            raise WireError("dealers", f"{node_id} is no holder of the source group") from None
    source_cards.sort(key=lambda entry: entry[0])
    pure = [card for _, card in source_cards if card.node_id not in target_ids]
    cards = [*manifest.holders, *pure]
    position = {card.node_id: index for index, card in enumerate(cards, start=1)}
    return SessionContext(
        domain=intent.domain,
        protocol=intent.protocol,
        digest=intent.digest(),
        attempt=attempt,
        role=manifest.role,
        epoch=manifest.epoch,
        manifest_hash=manifest.hash(),
        previous_certificate_hash=intent.source.certificate_hash if intent.source else b"",
        threshold=manifest.threshold,
        participants=tuple(
            Participant(index=index, node_id=card.node_id, verify_key=card.signing_key)
            for index, card in enumerate(cards, start=1)
        ),
        curves=intent.curves,
        dealers=tuple(Dealer(position[card.node_id], index) for index, card in source_cards),
        pure_dealers=len(pure),
    )
