"""What holders' nodes decide: signed approvals and rejections, and refusals to take part."""

from datetime import timedelta

from django.db import IntegrityError
from django.utils import timezone

from audit import rationing
from audit import services as audit
from tss import calls, ceremonies, services
from tss.documents import holder_names, intent_of, manifest_of
from tss.errors import ItemRefused, Stale
from tss.lifecycle import note, settle, transition
from tss.models import (
    Approval,
    Ceremony,
    CeremonyState,
    Decision,
    Refusal,
    RequestEvent,
    State,
    TssRequest,
)
from tss.representation import milliseconds
from vaults.actors import Actor
from vaults.models import Node
from wire import approval as wire_approval
from wire.canonical import Json
from wire.fields import Fields
from wire.node_request import MAX_SKEW_MS

# A node may change its mind while its operator puts things right, but not fill the log.
_MAX_REFUSALS = 20


def decide(*, node: Node, value: Json) -> None:
    """Take a holder's signed decision. The first one counts; the same bytes again change nothing.

    The last approval approves the request, a rejection ends it. Raises ItemRefused, or WireError for a
    malformed value.
    """
    approval = wire_approval.Approval.from_json(value, "decision")
    if approval.node_id != node.tss_node_id:
        raise ItemRefused("foreign_node", "the decision is another node's")
    request = _request_of_holder(node, approval.digest)
    card = manifest_of(request.manifest).card_of(node.tss_node_id)
    # R9: the key comes from the manifest of the request, not from what the node says today.
    if not approval.verify(card.signing_key):
        if rationing.due((node.pk, "decision")):
            _denied(node, request, "the decision's signature is not valid")
        raise ItemRefused("bad_signature", "the signature is not the holder's over this decision")
    if timezone.now() >= request.expires_at:
        services.expire(request.id)
    settle(request.id, lambda fresh: _decide(fresh, node, approval))


def refuse(*, node: Node, value: Json) -> None:
    """Take a node's word that it does not take part; it ends a ceremony that needs the node.

    Raises ItemRefused or WireError.
    """
    fields = Fields(value, "refusal")
    digest = fields.hex("digest", 32)
    code = fields.text("code", max_length=64)
    message = fields.text("message", max_length=500)
    fields.end()
    request = _request_of_holder(node, digest)

    def step(fresh: TssRequest) -> None:
        if fresh.state not in (State.AWAITING_APPROVAL, State.APPROVED, State.RUNNING):
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

    settle(request.id, step)
    ceremony = (
        Ceremony.objects.select_related("request").filter(request=request, state=CeremonyState.OPEN).first()
    )
    # With all messages in, the members have their certificate (R25): refusing comes too late.
    if ceremony is not None and ceremony.round < ceremony.rounds:
        index = manifest_of(request.manifest).index_of(node.tss_node_id)
        ceremonies.fail(
            ceremony,
            actor=Actor.of_node(node),
            reason=f"{holder_names(request)[index]} refused: {code}: {message}",
            blamed=[index],
        )


def _decide(request: TssRequest, node: Node, approval: wire_approval.Approval) -> None:
    earlier = Approval.objects.filter(request=request, node=node).first()
    if earlier is not None:
        if earlier.signed == approval.to_json():
            return
        raise ItemRefused("already_decided", f"this holder's decision was {earlier.decision}")
    if request.state != State.AWAITING_APPROVAL:
        raise ItemRefused("closed", f"the request is {request.state}")
    if timezone.now() >= request.expires_at:
        raise ItemRefused("closed", "the request has expired")
    _check_time(request, approval.time)
    try:
        Approval.objects.create(
            request=request,
            node=node,
            decision=approval.decision,
            reason=approval.reason,
            signed=approval.to_json(),
        )
    except IntegrityError:  # the same holder, at the same moment
        raise Stale from None
    actor = Actor.of_node(node)
    if approval.decision == wire_approval.REJECT:
        name = request.target_group.holders.get(node=node).name
        words = f": {approval.reason}" if approval.reason else ""
        calls.wake_holders(request)
        transition(request=request, to=State.REJECTED, actor=actor, reason=f"{name} rejected{words}")
        return
    # Counting may miss an approval that commits at this moment; then the swap below fails and the whole step
    # is done again, so of two decisions at once the later one always counts both.
    approved = Approval.objects.filter(request=request, decision=Decision.APPROVE).count()
    if approved >= request.target_group.participants:
        transition(request=request, to=State.APPROVED, actor=actor)
    else:
        note(request=request, kind="approved", actor=actor, detail={"node": node.tss_node_id})


def _check_time(request: TssRequest, time: int) -> None:
    skew = timedelta(milliseconds=MAX_SKEW_MS)
    intent = intent_of(request.intent)
    if not intent.not_before - MAX_SKEW_MS <= time <= milliseconds(timezone.now() + skew):
        raise ItemRefused("bad_time", "the decision's time is outside the request's life or in the future")


def _request_of_holder(node: Node, digest: bytes) -> TssRequest:
    request = (
        TssRequest.objects.select_related("target_group")
        .filter(digest=digest.hex(), target_group__holders__node=node)
        .first()
    )
    if request is None or node.tss_node_id not in manifest_of(request.manifest).node_ids:
        raise ItemRefused("unknown_digest", "no request with this digest asks this node")
    return request


def _denied(node: Node, request: TssRequest, why: str) -> None:
    audit.record(
        actor=Actor.of_node(node).label,
        act="denied",
        subject=f"tss_request:{request.id}",
        detail={"reason": why},
        organisation_id=str(request.organisation_id),
    )
