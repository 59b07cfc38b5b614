"""What holders' nodes decide: signed approvals, rejections and withdrawals, and refusals to take part."""

from dataclasses import replace
from datetime import timedelta

from django.db import IntegrityError
from django.utils import timezone

from audit import rationing
from audit import services as audit
from tss import announcements, calls, ceremonies, services
from tss.documents import intent_of, manifest_of
from tss.errors import ItemRefused, Stale
from tss.lifecycle import STOPPABLE, note, settle, transition
from tss.models import (
    OPEN_STATES,
    Approval,
    Ceremony,
    CeremonyState,
    Decision,
    Refusal,
    RequestEvent,
    State,
    TssRequest,
    Voter,
)
from tss.obstacles import must_go_on, obstacle
from tss.representation import milliseconds
from tss.votes import tallies
from vaults.actors import Actor
from vaults.models import Node
from wire import approval as wire_approval
from wire.canonical import Json
from wire.fields import Fields
from wire.node_request import MAX_SKEW_MS

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
    voter = _voter(node, approval.digest)
    request = voter.request
    # R9: the key comes from the roster of the request, not from what the node says today.
    if not approval.verify(_signing_key(voter)):
        raise _not_signed(voter, approval)
    if timezone.now() >= request.expires_at:
        services.expire(request.id)
    settle(request.id, lambda fresh: _decide(fresh, voter, approval))


def refuse(*, node: Node, value: Json) -> None:
    """Take a node's word that it does not take part; it ends a ceremony that needs the node.

    Raises ItemRefused or WireError.
    """
    fields = Fields(value, "refusal")
    digest = fields.hex("digest", 32)
    code = fields.text("code", max_length=64)
    message = fields.text("message", max_length=500)
    fields.end()
    voter = _voter(node, digest)

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


def _decide(request: TssRequest, voter: Voter, approval: wire_approval.Approval) -> None:
    earlier = Approval.objects.filter(request=request, node=voter.node).first()
    if earlier is not None and earlier.signed == approval.to_json():
        return
    withdrawn = approval.decision == wire_approval.WITHDRAW
    # R13: a rejection or withdrawal binds for ever, an approval until it is withdrawn.
    if earlier is not None and not (withdrawn and earlier.decision == Decision.APPROVE):
        raise ItemRefused("already_decided", f"this holder's decision was {earlier.decision}")
    _check_open(request, approval.decision)
    _check_time(request, approval.time)
    if approval.decision == wire_approval.APPROVE and not voter.target and not voter.counts_as_source:
        raise ItemRefused("own_request", "the requester's own approval does not count here (R14)")
    _store(request, voter, approval, earlier)
    match approval.decision:
        case wire_approval.APPROVE:
            _approve(request, voter)
        case wire_approval.REJECT:
            calls.wake_holders(request)
            transition(
                request=request,
                to=State.REJECTED,
                actor=Actor.of_node(voter.node),
                reason=_sentence(voter, "rejected", approval.reason),
            )
        case _:
            _withdraw(request, voter, approval.reason)


def _approve(request: TssRequest, voter: Voter) -> None:
    actor = Actor.of_node(voter.node)
    # Counting may miss an approval that commits at this moment; then the swap below fails and the whole step
    # is done again, so of two decisions at once the later one always counts both.
    if request.state == State.AWAITING_APPROVAL and all(tally.won for tally in tallies(request)):
        transition(request=request, to=State.APPROVED, actor=actor)
    else:
        note(request=request, kind="approved", actor=actor, detail={"node": voter.node_id})


def _withdraw(request: TssRequest, voter: Voter, words: str) -> None:
    """P15: before the start it takes effect at once."""
    actor, reason = Actor.of_node(voter.node), _sentence(voter, "withdrew", words)
    calls.wake_holders(request)
    if lost := obstacle(request):
        transition(request=request, to=State.UNSATISFIABLE, actor=actor, reason=f"{reason}; {lost}")
    elif request.state == State.APPROVED and not all(tally.won for tally in tallies(request)):
        transition(request=request, to=State.AWAITING_APPROVAL, actor=actor, reason=reason)
    else:
        note(request=request, kind="withdrawn", actor=actor, detail={"node": voter.node_id, "reason": words})


def _check_open(request: TssRequest, decision: str) -> None:
    """P15: once a ceremony began nobody is called back. Another source holder's approval is still welcome: it
    may stand in for a dealer in the next attempt (R21)."""
    retried = request.state == State.RUNNING or (request.state == State.FAILED and request.retryable)
    welcome = request.state in STOPPABLE or (retried and decision == wire_approval.APPROVE)
    if not welcome:
        raise ItemRefused("closed", f"the request is {request.state}")
    if timezone.now() >= request.expires_at:
        raise ItemRefused("closed", "the request has expired")
    if decision != wire_approval.APPROVE and must_go_on(request):
        raise ItemRefused("closed", "all holders have prepared their new shares")


def _store(
    request: TssRequest, voter: Voter, approval: wire_approval.Approval, earlier: Approval | None
) -> None:
    row = earlier or Approval(request=request, node=voter.node)
    row.decision, row.reason, row.signed = approval.decision, approval.reason, approval.to_json()
    row.received_at = timezone.now()
    try:
        row.save()
    except IntegrityError:  # the same holder, at the same moment
        raise Stale from None
    announcements.decided(request, row)


def _check_time(request: TssRequest, time: int) -> None:
    skew = timedelta(milliseconds=MAX_SKEW_MS)
    intent = intent_of(request.intent)
    if not intent.not_before - MAX_SKEW_MS <= time <= milliseconds(timezone.now() + skew):
        raise ItemRefused("bad_time", "the decision's time is outside the request's life or in the future")


def _voter(node: Node, digest: bytes) -> Voter:
    """The node's place in the request. Whoever has none learns nothing (P08)."""
    rows = Voter.objects.select_related("request", "node").filter(node=node)
    voter = rows.filter(request__digest=digest.hex()).first()
    if voter is None:
        raise ItemRefused("unknown_digest", "no request with this digest asks this node")
    if not (voter.source or voter.target):
        raise ItemRefused("no_vote", "this node is told of the request (R17) and has no vote")
    return voter


def _signing_key(voter: Voter) -> bytes:
    request = voter.request
    texts = (request.manifest, request.source_manifest) if voter.target else (request.source_manifest,)
    for text in texts:
        manifest = manifest_of(text)
        if voter.node_id in manifest.node_ids:
            return manifest.card_of(voter.node_id).signing_key
    raise ItemRefused("unknown_digest", "no request with this digest asks this node")


def _not_signed(voter: Voter, approval: wire_approval.Approval) -> ItemRefused:
    """P02: a good signature over another request's digest is worth an alarm, for somebody moved it here."""
    other = _meant(voter, approval)
    if other is None:
        if rationing.due((voter.node_id, "decision")):
            _record(voter, "denied", "the decision's signature is not valid")
        return ItemRefused("bad_signature", "the signature is not the holder's over this decision")
    if rationing.due((voter.node_id, "decision", other)):
        _record(voter, "alarm", f"a decision about request {other} was handed in for this one")
    return ItemRefused("digest_mismatch", f"the signature is over request {other}, not over this one")


def _meant(voter: Voter, approval: wire_approval.Approval) -> str | None:
    """The request that the signature is really over, if it is another one that asks this node."""
    others = Voter.objects.filter(node=voter.node).exclude(request=voter.request_id)
    newest = others.order_by("-request__created_at").values_list("request_id", "request__digest")
    for request_id, digest in newest[:_MAX_CANDIDATES]:
        moved = replace(approval, digest=bytes.fromhex(digest))
        if moved.verify(_signing_key(voter)):
            return str(request_id)
    return None


def _sentence(voter: Voter, did: str, words: str) -> str:
    return f"{voter.name} {did}" + (f": {words}" if words else "")


def _record(voter: Voter, act: str, why: str) -> None:
    audit.record(
        actor=Actor.of_node(voter.node).label,
        act=act,
        subject=f"tss_request:{voter.request_id}",
        detail={"reason": why},
        organisation_id=str(voter.request.organisation_id),
    )
