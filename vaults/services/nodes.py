"""Signer nodes: enrolment with a one-time code, and who owns them."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import services as audit
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid
from vaults.models import EnrolmentCode, Member, Node, NodeKind, Organisation
from vaults.text import check_name
from webhooks import outbox
from wire.canonical import Json
from wire.fields import WireError
from wire.identity import HolderCard

_CODE_LIFETIME_S = 7 * 24 * 3600
_MAX_CODE = 100
_MAX_SOFTWARE = 32
_CARD_KIND = {NodeKind.API: "api", NodeKind.SERVICE: "service"}


def create_enrolment_code(
    *,
    actor: Actor,
    organisation: Organisation | None,
    name: str,
    service: bool = False,
    owner: Member | None = None,
    lifetime_s: int = _CODE_LIFETIME_S,
) -> str:
    """Make a one-time code with which one node joins; it is returned once, only its hash is kept.

    name: what people call the node. service: for the service's own signer, which belongs to no organisation.
    """
    check_name(name, field="name", max_length=100)
    if service == (organisation is not None):
        raise invalid("organisation", "a service signer belongs to none, any other node to one")
    if owner is not None and owner.organisation_id != (organisation.pk if organisation else None):
        raise invalid("owner", "is not a member of the organisation")
    code = secrets.token_hex(20)
    with transaction.atomic():
        row = EnrolmentCode.objects.create(
            organisation=organisation,
            owner=owner,
            kind=NodeKind.SERVICE if service else NodeKind.API,
            name=name,
            code_hash=_hash(code),
            expires_at=timezone.now() + timedelta(seconds=lifetime_s),
        )
        _audit(actor, "enrolment_code.created", f"enrolment_code:{row.pk}", organisation, {"name": name})
    return code


def enrol_node(*, code: Json, holder_card: Json, software: Json) -> Node:
    """Let the node whose card this is join with `code`; the same node may repeat the same call.

    The caller has checked that the card's own key signed the call (proof of possession).
    Raises ServiceError: 2006 for a bad card; 2025 for an unknown, used or expired code, or a node that has
    joined with another one.
    """
    if not isinstance(code, str) or not 0 < len(code) <= _MAX_CODE:
        raise invalid("code", "must be text, as it was given out")
    if not isinstance(software, str) or len(software) > _MAX_SOFTWARE or not software.isprintable():
        raise invalid("software", f"must be at most {_MAX_SOFTWARE} printable characters")
    try:
        card = HolderCard.from_json(holder_card)
    except WireError as error:
        raise invalid(error.field, error.message) from None
    row = EnrolmentCode.objects.filter(code_hash=_hash(code)).select_related("organisation", "node").first()
    if row is None:
        raise _refused("is unknown")
    if row.used_at is not None:
        return _enrolled_before(row, card)
    if row.expires_at <= timezone.now():
        raise _refused("has expired")
    kind = _CARD_KIND[NodeKind(row.kind)]
    if card.kind != kind:
        raise invalid("holder_card.card.kind", f"the code is for a node of kind {kind}")
    with transaction.atomic():
        node = _create_node(row, card, software)
        if node is None:
            # The same node called twice at once, or it joined with another code.
            row.refresh_from_db()
            return _enrolled_before(row, card)
        unused = EnrolmentCode.objects.filter(pk=row.pk, used_at=None)
        if unused.update(used_at=node.enrolled_at, node=node) != 1:
            raise _refused("was used by another node")
        if row.organisation is not None:
            outbox.emit(
                organisation_id=str(row.organisation.pk),
                type="quorate.node.enrolled",
                data={"data_type": "Node", "tss_node_id": node.tss_node_id, "name": node.name},
            )
        detail = {"name": node.name, "code": row.pk}
        _audit(Actor.of_node(node), "node.enrolled", f"node:{node.tss_node_id}", row.organisation, detail)
    return node


def publish_card(*, node: Node, card: HolderCard) -> None:
    """Take the node's own new card: it is in every roster that is made from now on (R7).

    The caller has verified the card's signature. The same card again changes nothing. Raises ServiceError:
    2006 for another node's card or kind, 2029 for one that is not newer.
    """
    if card.node_id != node.tss_node_id:
        raise invalid("card.node_id", "is another node's")
    if card.kind != _CARD_KIND[NodeKind(node.kind)]:
        raise invalid("card.kind", "must stay what it was at enrolment")
    if node.holder_card == card.to_json():
        return
    older = Node.objects.filter(pk=node.pk, card_version__lt=card.version)
    with transaction.atomic():
        if older.update(holder_card=card.to_json(), card_version=card.version) != 1:
            raise ServiceError(
                ErrorCode.WRONG_STATE, "there is a newer card of this node, or another one of this version"
            )
        detail = {"version": card.version, "method": card.method, "passkeys": len(card.credentials)}
        _audit(
            Actor.of_node(node), "node.card_changed", f"node:{node.tss_node_id}", node.organisation, detail
        )


def assign_node_owner(*, actor: Actor, node: Node, owner: Member | None) -> Node:
    """Say whose node it is; a holder belongs to at most one member."""
    if owner is not None and owner.organisation_id != node.organisation_id:
        raise invalid("owner", "is not a member of the node's organisation")
    with transaction.atomic():
        if Node.objects.filter(pk=node.pk, owner=node.owner_id).update(owner=owner) != 1:
            raise ServiceError(ErrorCode.WRONG_STATE, "somebody else changed the owner meanwhile", "owner")
        if node.organisation_id is not None:
            outbox.emit(
                organisation_id=str(node.organisation_id),
                type="quorate.node.owner_assigned",
                data={
                    "data_type": "Node",
                    "tss_node_id": node.tss_node_id,
                    "owner_member_id": str(owner.pk) if owner else None,
                },
            )
        detail = {"owner": str(owner.pk) if owner else ""}
        _audit(actor, "node.owner_assigned", f"node:{node.tss_node_id}", node.organisation, detail)
    node.owner = owner
    return node


def _create_node(row: EnrolmentCode, card: HolderCard, software: str) -> Node | None:
    try:
        with transaction.atomic():
            return Node.objects.create(
                tss_node_id=card.node_id,
                organisation=row.organisation,
                owner=row.owner,
                kind=row.kind,
                name=row.name,
                signing_key=card.signing_key.hex(),
                holder_card=card.to_json(),
                card_version=card.version,
                software=software,
            )
    except IntegrityError:
        return None


def _enrolled_before(row: EnrolmentCode, card: HolderCard) -> Node:
    if row.node is not None and row.node.tss_node_id == card.node_id:
        return row.node
    if row.used_at is not None:
        raise _refused("was used by another node")
    raise ServiceError(
        ErrorCode.FORBIDDEN, "the node is enrolled already, with another code", "holder_card.card.node_id"
    )


def _refused(why: str) -> ServiceError:
    return ServiceError(ErrorCode.FORBIDDEN, f"code: {why}; ask for a new one", "code")


def _hash(code: str) -> str:
    # 192 random bits: a plain hash cannot be searched.
    return sha256(code.encode()).hexdigest()


def _audit(
    actor: Actor, act: str, subject: str, organisation: Organisation | None, detail: Mapping[str, object]
) -> None:
    audit.record(
        actor=actor.label,
        act=act,
        subject=subject,
        detail=detail,
        organisation_id=str(organisation.pk) if organisation else "",
    )
