"""Who has approved: signatures by certified or pinned keys, counted as every node counts them (R9, R13)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from signers.errors import Refusal
from wire.approval import APPROVE, Approval
from wire.assertion import PasskeyError
from wire.ballot import check_passkey, complete
from wire.canonical import Json
from wire.electorate import votes
from wire.fields import WireError
from wire.identity import HolderCard
from wire.intent import Intent
from wire.manifest import Manifest
from wire.passkey import PasskeyApproval, is_passkey
from wire.policy import VaultPolicy


@dataclass(frozen=True)
class Presented:
    """The decisions that the coordinator shows: node approvals, and votes of passkeys."""

    by_node: tuple[Approval, ...] = ()
    by_passkey: tuple[PasskeyApproval, ...] = ()


def parse_decisions(presented: Iterable[Json]) -> Presented:
    """Raises Refusal bad_approval."""
    try:
        return _parse(list(presented))
    except WireError as error:
        raise Refusal("bad_approval", str(error)) from None


def readable_decisions(presented: Iterable[Json]) -> Presented:
    """Those that parse; what does not is no decision."""
    found = []
    for item in presented:
        try:
            _parse([item])
        except WireError:
            continue
        found.append(item)
    return _parse(found)


def check_approval(
    decision: Approval, intent: Intent, digest: bytes, cards: Mapping[str, HolderCard]
) -> None:
    """cards: of everybody who may decide (wire.ballot). The target's keys equal the pinned ones (R5), the
    source's the certified ones; a database row's key is never used.

    Raises Refusal: approval_of_other_request, unknown_approver, forged_approval, approval_out_of_time.
    """
    if decision.digest != digest:
        raise Refusal(
            "approval_of_other_request", f"the approval of {decision.node_id} is for another digest"
        )
    if decision.node_id not in cards:
        raise Refusal("unknown_approver", f"{decision.node_id} is no holder of source or target group")
    if not decision.verify(cards[decision.node_id].signing_key):
        raise Refusal(
            "forged_approval",
            f"the approval of {decision.node_id} is not signed by its pinned or certified key",
        )
    if decision.decision == APPROVE and not intent.not_before <= decision.time <= intent.expires:
        raise Refusal(
            "approval_out_of_time", f"the approval of {decision.node_id} lies outside the request's life"
        )


def check_passkey_vote(
    vote: PasskeyApproval,
    intent: Intent,
    digest: bytes,
    cards: Mapping[str, HolderCard],
    newest: HolderCard | None,
) -> None:
    """newest: the latest card that this node knows of the holder, which may be later than the roster's.

    Raises Refusal: former_credential, and the codes of wire.ballot.check_passkey.
    """
    try:
        check_passkey(vote, intent, digest, cards)
    except PasskeyError as error:
        raise Refusal(error.code, error.message) from None
    later = newest is not None and newest.version > cards[vote.node_id].version
    if later and newest is not None and newest.credential(vote.credential_id) is None:
        raise Refusal("former_credential", f"{vote.node_id} has taken the passkey that voted off its card")


def approvals(
    presented: Presented, intent: Intent, digest: bytes, cards: Mapping[str, HolderCard]
) -> frozenset[str]:
    """Holders of whom every signature that their card asks for is there and valid; what is not counts as not
    there."""
    by_node, by_passkey = set(), set()
    for decision in presented.by_node:
        try:
            check_approval(decision, intent, digest, cards)
        except Refusal:
            continue
        if decision.decision == APPROVE:
            by_node.add(decision.node_id)
    for vote in presented.by_passkey:
        try:
            check_passkey(vote, intent, digest, cards)
        except PasskeyError:
            continue
        if vote.decision == APPROVE:
            by_passkey.add(vote.node_id)
    return complete(cards, by_node, by_passkey)


def _parse(items: list[Json]) -> Presented:
    named = [(f"decisions[{position}]", item) for position, item in enumerate(items)]
    return Presented(
        by_node=tuple(Approval.from_json(item, name) for name, item in named if not is_passkey(item)),
        by_passkey=tuple(PasskeyApproval.from_json(item, name) for name, item in named if is_passkey(item)),
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
