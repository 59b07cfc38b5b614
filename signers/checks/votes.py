"""Who has approved: signatures by certified or pinned keys, counted as every node counts them (R9, R13)."""

from collections.abc import Collection, Iterable, Mapping

from signers.errors import Refusal
from wire.approval import APPROVE, Approval
from wire.canonical import Json
from wire.electorate import votes
from wire.fields import WireError
from wire.intent import Intent
from wire.manifest import Manifest
from wire.policy import VaultPolicy


def holder_keys(manifest: Manifest, source_manifest: Manifest | None) -> dict[str, bytes]:
    """Node id -> signing key of everybody who may decide.

    The target's keys equal the pinned ones (R5), the source's the certified ones; a database row's key is
    never used.
    """
    # Made once: an id costs two hashes and base58, and a peer's notes may hold 200 decisions.
    rosters = (manifest,) if source_manifest is None else (source_manifest, manifest)
    return {card.node_id: card.signing_key for each in rosters for card in each.holders}


def parse_decisions(presented: Iterable[Json]) -> list[Approval]:
    """Raises Refusal bad_approval."""
    try:
        return [Approval.from_json(item, f"decisions[{i}]") for i, item in enumerate(presented)]
    except WireError as error:
        raise Refusal("bad_approval", str(error)) from None


def readable_decisions(presented: Iterable[Json]) -> list[Approval]:
    """Those that parse; what does not is no decision."""
    found = []
    for item in presented:
        try:
            found.append(Approval.from_json(item))
        except WireError:
            continue
    return found


def check_approval(decision: Approval, intent: Intent, digest: bytes, keys: Mapping[str, bytes]) -> None:
    """Raises Refusal: approval_of_other_request, unknown_approver, forged_approval, approval_out_of_time."""
    if decision.digest != digest:
        raise Refusal(
            "approval_of_other_request", f"the approval of {decision.node_id} is for another digest"
        )
    if decision.node_id not in keys:
        raise Refusal("unknown_approver", f"{decision.node_id} is no holder of source or target group")
    if not decision.verify(keys[decision.node_id]):
        raise Refusal(
            "forged_approval",
            f"the approval of {decision.node_id} is not signed by its pinned or certified key",
        )
    if decision.decision == APPROVE and not intent.not_before <= decision.time <= intent.expires:
        raise Refusal(
            "approval_out_of_time", f"the approval of {decision.node_id} lies outside the request's life"
        )


def check_votes(intent: Intent, manifest: Manifest, policy: VaultPolicy, approved: Collection[str]) -> None:
    """Every vote of the request must be won. Raises Refusal missing_approval."""
    for vote in votes(intent, manifest, policy):
        if not vote.won(approved):
            missing = [node_id for node_id in vote.node_ids if node_id not in approved]
            raise Refusal(
                "missing_approval",
                f"{vote.needed} {vote.side} holders must approve, {len(vote.counted(approved))} did; no"
                f" approval of {', '.join(missing)} was presented",
            )


def check_dealers(
    intent: Intent, dealers: tuple[str, ...], approved: Collection[str], revoked: Collection[str]
) -> None:
    """R21: exactly t eligible source holders deal, each of whom approved. Raises Refusal bad_dealers."""
    if intent.source is None:
        if dealers:
            raise Refusal("bad_dealers", "in a KeyGen every holder deals")
        return
    if len(dealers) != intent.source.threshold or len(set(dealers)) != len(dealers):
        raise Refusal("bad_dealers", f"exactly {intent.source.threshold} different source holders deal")
    for node_id in dealers:
        if node_id not in intent.eligible or node_id not in approved:
            raise Refusal("bad_dealers", f"{node_id} is not eligible or has not approved")
        if node_id in revoked:
            raise Refusal("bad_dealers", f"{node_id} was replaced and deals no more (R6)")
