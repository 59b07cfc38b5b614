"""Whose vote is complete: each holder's needs the signatures that its card asks for (R7, R9).

Coordinator and nodes count with the same functions. Every vote needs the node's signature; a card with the
method `passkey` or `both` asks for a passkey's as well.
"""

from collections.abc import Collection, Mapping

from wire.approval import APPROVE
from wire.assertion import PasskeyError
from wire.identity import HolderCard
from wire.intent import Intent
from wire.manifest import Manifest
from wire.passkey import PasskeyApproval


def holder_cards(manifest: Manifest, source_manifest: Manifest | None) -> dict[str, HolderCard]:
    """Node id -> card of everybody who may decide; of a holder that is in both rosters, the newer one."""
    cards: dict[str, HolderCard] = {}
    for roster in (source_manifest, manifest):
        for card in roster.holders if roster is not None else ():
            known = cards.get(card.node_id)
            if known is None or card.version >= known.version:
                cards[card.node_id] = card
    return cards


def verify_passkey(vote: PasskeyApproval, digest: bytes, cards: Mapping[str, HolderCard]) -> int:
    """Whether a passkey vote is about this request and by a credential of its holder; its counter.

    Raises PasskeyError: passkey_of_other_request, unknown_approver, unknown_credential, and those of
    PasskeyApproval.verify.
    """
    if vote.digest != digest:
        raise PasskeyError(
            "passkey_of_other_request", f"the passkey vote of {vote.node_id} is for another digest"
        )
    if vote.node_id not in cards:
        raise PasskeyError("unknown_approver", f"{vote.node_id} is no holder of source or target group")
    credential = cards[vote.node_id].credential(vote.credential_id)
    if credential is None:
        raise PasskeyError("unknown_credential", f"the passkey is not on the card of {vote.node_id}")
    return vote.verify(credential)


def check_passkey(
    vote: PasskeyApproval, intent: Intent, digest: bytes, cards: Mapping[str, HolderCard]
) -> int:
    """As `verify_passkey`, and an approval lies within the request's life, else passkey_out_of_time."""
    counter = verify_passkey(vote, digest, cards)
    if vote.decision == APPROVE and not intent.not_before <= vote.time <= intent.expires:
        raise PasskeyError(
            "passkey_out_of_time", f"the passkey vote of {vote.node_id} lies outside the request's life"
        )
    return counter


def complete(
    cards: Mapping[str, HolderCard], by_node: Collection[str], by_passkey: Collection[str]
) -> frozenset[str]:
    """Holders with every signature that their card asks for.

    by_node, by_passkey: node ids of holders with a valid approval of that kind.
    """
    return frozenset(
        node_id
        for node_id in by_node
        if node_id in cards and (not cards[node_id].needs_passkey or node_id in by_passkey)
    )
