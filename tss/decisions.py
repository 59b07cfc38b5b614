"""What holders' nodes decide: signed approvals, rejections and withdrawals, and refusals to take part."""

from dataclasses import replace

from django.utils import timezone

from audit import rationing
from audit import services as audit
from tss import ceremonies, services
from tss.documents import cards_of
from tss.errors import ItemRefused
from tss.lifecycle import note, settle
from tss.models import (
    OPEN_STATES,
    Ceremony,
    CeremonyState,
    Refusal,
    RequestEvent,
    SignedBy,
    TssRequest,
    Voter,
)
from tss.voting import Ballot, cast
from vaults.actors import Actor
from vaults.models import Node
from wire import approval as wire_approval
from wire.canonical import Json
from wire.fields import Fields
from wire.identity import HolderCard

# A node may change its mind while its operator puts things right, but not fill the log.
_MAX_REFUSALS = 20
# A node with these refusals has no good share to deal from, but may still receive one (R30).
_CANNOT_DEAL = ("quarantined", "no_share")
# Among how many of a node's newest requests the one is looked for that a wrong signature belongs to.
_MAX_CANDIDATES = 20


def decide(*, node: Node, value: Json) -> None:
    """Take a holder's signed decision. The same bytes again change nothing; only a withdrawal comes after an
    approval.

    The approval that wins the last vote approves the request, a rejection ends it, a withdrawal takes an
    approval back. Raises ItemRefused, or WireError for a malformed value.
    """
    approval = wire_approval.Approval.from_json(value, "decision")
    if approval.node_id != node.tss_node_id:
        raise ItemRefused("foreign_node", "the decision is another node's")
    voter = voter_of(node, approval.digest)
    request = voter.request
    # R9: the key comes from the roster of the request, not from what the node says today.
    if not approval.verify(card_of(voter).signing_key):
        raise _not_signed(voter, approval)
    if timezone.now() >= request.expires_at:
        services.expire(request.id)
    ballot = Ballot(
        actor=Actor.of_node(node),
        kind=SignedBy.NODE,
        decision=approval.decision,
        time=approval.time,
        reason=approval.reason,
        signed=approval.to_json(),
    )
    settle(request.id, lambda fresh: cast(fresh, voter, ballot))


def refuse(*, node: Node, value: Json) -> None:
    """Take a node's word that it does not take part; it ends a ceremony that needs the node.

    Raises ItemRefused or WireError.
    """
    fields = Fields(value, "refusal")
    digest = fields.hex("digest", 32)
    code = fields.text("code", max_length=64)
    message = fields.text("message", max_length=500)
    fields.end()
    voter = voter_of(node, digest)

    def step(fresh: TssRequest) -> None:
        if fresh.state not in OPEN_STATES:
            return
        before = Refusal.objects.filter(request=fresh, node=node).first()
        if before is not None and (before.code, before.message) == (code, message):
            return
        noted = RequestEvent.objects.filter(request=fresh, kind="refused", actor=Actor.of_node(node).label)
        if noted.count() < _MAX_REFUSALS:
            Refusal.objects.update_or_create(
                request=fresh,
                node=node,
                defaults={"code": code, "message": message, "received_at": timezone.now()},
            )
            note(
                request=fresh,
                kind="refused",
                actor=Actor.of_node(node),
                detail={"node": node.tss_node_id, "code": code, "message": message},
            )

    settle(voter.request_id, step)
    ceremony = (
        Ceremony.objects.select_related("request")
        .filter(request=voter.request_id, state=CeremonyState.OPEN, members__node=node)
        .first()
    )
    # With all messages in, the members have their certificate (R25): refusing comes too late.
    if ceremony is not None and ceremony.round < ceremony.rounds:
        ceremonies.fail(
            ceremony,
            actor=Actor.of_node(node),
            reason=f"{voter.name} refused: {code}: {message}",
            blamed=[ceremony.members.get(node=node).index],
            only_dealing=code in _CANNOT_DEAL,
        )


def voter_of(node: Node, digest: bytes) -> Voter:
    """The node's place in the request. Whoever has none learns nothing (P08)."""
    rows = Voter.objects.select_related("request", "node").filter(node=node)
    voter = rows.filter(request__digest=digest.hex()).first()
    if voter is None:
        raise ItemRefused("unknown_digest", "no request with this digest asks this node")
    if not (voter.source or voter.target):
        raise ItemRefused("no_vote", "this node is told of the request (R17) and has no vote")
    return voter


def card_of(voter: Voter) -> HolderCard:
    """The voter's card as the request lists it. Raises ItemRefused where it lists none."""
    card = cards_of(voter.request).get(voter.node_id)
    if card is None:
        raise ItemRefused("unknown_digest", "no request with this digest asks this node")
    return card


def _not_signed(voter: Voter, approval: wire_approval.Approval) -> ItemRefused:
    """P02: a good signature over another request's digest is worth an alarm, for somebody moved it here."""
    other = _meant(voter, approval)
    if other is None:
        if rationing.due((voter.node_id, "decision")):
            record(voter, "denied", "the decision's signature is not valid")
        return ItemRefused("bad_signature", "the signature is not the holder's over this decision")
    if rationing.due((voter.node_id, "decision", other)):
        record(voter, "alarm", f"a decision about request {other} was handed in for this one")
    return ItemRefused("digest_mismatch", f"the signature is over request {other}, not over this one")


def _meant(voter: Voter, approval: wire_approval.Approval) -> str | None:
    """The request that the signature is really over, if it is another one that asks this node."""
    others = Voter.objects.filter(node=voter.node).exclude(request=voter.request_id)
    newest = others.order_by("-request__created_at").values_list("request_id", "request__digest")
    for request_id, digest in newest[:_MAX_CANDIDATES]:
        moved = replace(approval, digest=bytes.fromhex(digest))
        if moved.verify(card_of(voter).signing_key):
            return str(request_id)
    return None


def record(voter: Voter, act: str, why: str) -> None:
    """Write an audit row about what was tried in a holder's name."""
    audit.record(
        actor=Actor.of_node(voter.node).label,
        act=act,
        subject=f"tss_request:{voter.request_id}",
        detail={"reason": why},
        organisation_id=str(voter.request.organisation_id),
    )
