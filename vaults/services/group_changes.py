"""What becomes of a group after it was made: deletion, promotion, replaced holders, scheduled Refresh.

Functions that another act is part of (`supersede_main`, `promote_group`) run in that act's transaction, which
records it. Whether requests stand in the way is for tss.groups, which calls these.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from vaults import counts, selectors
from vaults.actors import Actor
from vaults.errors import invalid, wrong_state
from vaults.models import Group, GroupStatus, GroupType, Holder, HolderStatus, Node, NodeKind
from vaults.services.groups import announce, count_group, taken_nodes, usable
from vaults.services.vaults import hold_vault

MAX_REFRESH_DAYS = 365
_CHANGED_MEANWHILE = "the group was changed meanwhile; read it again"


def retire_group(*, actor: Actor, group: Group) -> Group:
    """Delete a group: a label only, no node hears of it and no share is erased (R16).

    Raises ServiceError 2029 for the active Main group: without it nobody could approve a change of the vault.
    So a vault with a key keeps an active Main group, and with it a group that is able to sign.
    """
    if group.type == GroupType.MAIN and group.status == GroupStatus.VALID:
        raise wrong_state("this is the vault's active MainGroup: promote another group first")
    with transaction.atomic():
        _retire(group, status=group.status)
        announce(actor=actor, group=group, what="deleted", detail={"type": group.type})
    return group


def supersede_main(group: Group) -> None:
    """Another group has taken the place of this Main group. Raises ServiceError 2029 if it is not active."""
    if group.type != GroupType.MAIN or group.status != GroupStatus.VALID:
        raise wrong_state("the group is not the vault's active MainGroup")
    _retire(group, status=GroupStatus.UNAVAILABLE)


def promote_group(*, group: Group, main: Group, keep_main: bool) -> None:
    """Make `group` the vault's Main group (R16); the old one becomes a SigningGroup if it is kept.

    The manifests keep their roles until the next change of shares: nodes follow the approved request. Raises
    ServiceError 2029 when either is no longer what it was.
    """
    if keep_main:
        _change_type(main, GroupType.SIGNING)
    else:
        supersede_main(main)
    _change_type(group, GroupType.MAIN)


def replace_holder(
    *,
    actor: Actor,
    holder: Holder,
    new_tss_node_id: str,
    rows: Callable[[], None] | None = None,
) -> Holder:
    """Say which node shall take a holder's place in the next Recovery or change of members (R6).

    Naming the holder's own node takes an earlier word back. rows: writes what follows from the change, before
    the audit row, since that waits for every other writer of the chain. Raises ServiceError 2006 naming the
    field; 2029 for a group without shares, and for a holder whose place was given away meanwhile.
    """
    group = holder.group
    with transaction.atomic():
        hold_vault(group.vault)
        _check_active(group)
        new = None if new_tss_node_id == holder.node_id else _newcomer(holder, new_tss_node_id)
        holder.replacement = new
        holder.status = HolderStatus.VALID if new is None else HolderStatus.CHANGED
        # A change of shares makes the rows of its roster anew.
        if not Holder.objects.filter(pk=holder.pk).update(replacement=new, status=holder.status):
            raise wrong_state(_CHANGED_MEANWHILE)
        if rows is not None:
            rows()
        detail = {"tss_node_id": holder.node_id, "new_tss_node_id": new_tss_node_id}
        announce(actor=actor, group=group, what="holder_changed", detail=detail)
    return holder


def schedule_refresh(*, actor: Actor, group: Group, every_days: int | None) -> Group:
    """Ask for a Refresh of the group every so many days, the first that long from now; None: never.

    Raises ServiceError 2006, 2029.
    """
    if every_days is not None and not 1 <= every_days <= MAX_REFRESH_DAYS:
        raise invalid("every_days", f"must be between 1 and {MAX_REFRESH_DAYS}, or null")
    _check_active(group)
    group.refresh_every = None if every_days is None else timedelta(days=every_days)
    group.next_refresh_at = None if group.refresh_every is None else timezone.now() + group.refresh_every
    with transaction.atomic():
        _swap(_active(group), refresh_every=group.refresh_every, next_refresh_at=group.next_refresh_at)
        announce(actor=actor, group=group, what="refresh_scheduled", detail={"every_days": every_days})
    return group


def _newcomer(holder: Holder, tss_node_id: str) -> Node:
    group = holder.group
    others = Holder.objects.filter(group=group).exclude(pk=holder.pk).select_related("node", "replacement")
    node = Node.objects.filter(pk=tss_node_id).first()
    if node is None or not usable(node, group.vault):
        raise invalid("new_tss_node_id", "no such node")
    if any(node in (other.node, other.replacement) for other in others):
        raise invalid("new_tss_node_id", "has another place in the group")
    if node.kind == NodeKind.SERVICE and any(other.node.kind == NodeKind.SERVICE for other in others):
        raise invalid("new_tss_node_id", "a holder of type Cobo is in the group already")
    if node.pk in taken_nodes(group.vault, group.type):
        raise invalid(
            "new_tss_node_id",
            "is in another group of the vault, and the vault's policy lets no node be in two",
        )
    return node


def _active(group: Group) -> "QuerySet[Group]":
    return Group.objects.filter(pk=group.pk, status=GroupStatus.VALID, retired_at=None)


def _check_active(group: Group) -> None:
    if not _active(group).exists():
        raise wrong_state("the group has no shares in use")


def _retire(group: Group, *, status: str) -> None:
    now = timezone.now()
    # Participants too, for they are taken off the totals.
    unchanged = Group.objects.filter(
        pk=group.pk,
        type=group.type,
        status=group.status,
        participants=group.participants,
        retired_at=None,
    )
    _swap(unchanged, status=status, retired_at=now, refresh_every=None, next_refresh_at=None)
    count_group(group, -1)
    group.status, group.retired_at = status, now
    group.refresh_every = group.next_refresh_at = None


def _change_type(group: Group, type: GroupType) -> None:
    _swap(_active(group).filter(type=group.type), type=type)
    counts.count(selectors.groups_scope(group.vault_id, group.type), -1)
    counts.count(selectors.groups_scope(group.vault_id, type))
    group.type = type


def _swap(unchanged: "QuerySet[Group]", **changes: object) -> None:
    if unchanged.update(**changes) != 1:
        raise wrong_state(_CHANGED_MEANWHILE)
