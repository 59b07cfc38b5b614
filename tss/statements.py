"""What holders sign about their share sets: erased (R26, R28), or abandoned, so that another may be made."""

from django.db import IntegrityError, transaction

from audit import services as audit
from mpc.dealing_messages import ROUND_ACTIVATED
from tss import announcements, ceremonies
from tss.documents import context_of, names_of
from tss.errors import ItemRefused
from tss.models import Ceremony, CeremonyState, Message, Participant, SetStatement, ShareSet
from vaults.actors import Actor
from vaults.models import Node
from wire import set_statement
from wire.canonical import Json
from wire.envelope import ROUND_MESSAGE


def accept(*, node: Node, value: Json) -> None:
    """Take a node's statement about a set that it was to hold; the first one of each kind stands.

    `abandoned` ends a ceremony that waits for the node: its set can never become final, so another attempt is
    safe. Raises ItemRefused or WireError.
    """
    statement = set_statement.SetStatement.from_json(value)
    if statement.node_id != node.tss_node_id:
        raise ItemRefused("foreign_node", "the statement is another node's")
    row = (
        Participant.objects.select_related("ceremony__request")
        .filter(ceremony=statement.session_id.hex(), node=node)
        .first()
    )
    if row is None:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    ceremony = row.ceremony
    context = context_of(ceremony)
    if not statement.verify(context.verify_key(row.index)):
        raise ItemRefused("bad_signature", "the signature is not the holder's over this statement")
    request = ceremony.request
    said = (statement.vault_id, statement.group_id, statement.epoch)
    if said != (str(request.vault_id), str(request.target_group_id), context.epoch):
        raise ItemRefused("other_set", "vault, group and epoch are not the ceremony's")
    if SetStatement.objects.filter(ceremony=ceremony, node=node, state=statement.state).exists():
        return
    if statement.state == set_statement.ERASED:
        _check_erased(ceremony, context.epoch, row.index in context.receiver_indices)
    else:
        _check_abandoned(ceremony, row.index)
    _keep(ceremony, node, statement)
    if statement.state == set_statement.ABANDONED:
        words = f"{names_of(ceremony)[row.index]} abandoned its new share"
        ceremonies.give_up(ceremony, actor=Actor.of_node(node), reason=words, blamed=[row.index])


def _check_erased(ceremony: Ceremony, epoch: int, received: bool) -> None:
    if not received:
        raise ItemRefused("no_share", "this node dealt and received no share")
    # R26: nothing is erased that no later set has taken the place of.
    sets = ShareSet.objects.filter(group=ceremony.request.target_group_id)
    own = sets.filter(ceremony=ceremony).first()
    if own is not None:
        superseded = own.superseded_at is not None or sets.filter(epoch__gt=epoch).exists()
    else:
        # Left over from an attempt that failed: the certificate of any set of its epoch ends it.
        superseded = sets.filter(epoch__gte=epoch).exists() or _retired(ceremony)
    if not superseded:
        raise ItemRefused("not_superseded", "no later share set has taken the place of this one")


def _retired(ceremony: Ceremony) -> bool:
    return ceremony.request.target_group.retired_at is not None


def _check_abandoned(ceremony: Ceremony, index: int) -> None:
    activated = Message.objects.filter(
        ceremony=ceremony, type=ROUND_MESSAGE, round=ROUND_ACTIVATED, sender=index
    )
    if ceremony.state == CeremonyState.SUCCEEDED or activated.exists():
        raise ItemRefused("activated", "this node has signed that it activated the set")


def _keep(ceremony: Ceremony, node: Node, statement: set_statement.SetStatement) -> None:
    try:
        with transaction.atomic():
            row = SetStatement.objects.create(
                ceremony=ceremony, node=node, state=statement.state, signed=statement.to_json()
            )
            announcements.set_stated(row)
            audit.record(
                actor=Actor.of_node(node).label,
                act=f"share_set.{statement.state}",
                subject=f"ceremony:{ceremony.session_id}",
                detail={"group": statement.group_id, "epoch": statement.epoch},
                organisation_id=str(ceremony.request.organisation_id),
            )
    except IntegrityError:  # the same node at the same moment
        if not SetStatement.objects.filter(ceremony=ceremony, node=node, state=statement.state).exists():
            raise
