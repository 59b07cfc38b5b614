"""A database that is older than the share sets of the nodes: it was restored from an old dump.

The holders' stores are the truth about share sets. Whoever holds a later certified set than these rows know
of says so with every call; until the rows have it, nothing that changes shares of the vault starts, so that
no epoch is made twice. A holder can lie about it; who said it is shown, and the word of one that is being
replaced no longer counts: a holder to be got rid of must not be able to forbid just that.
"""

import uuid
from collections.abc import Mapping

from django.db.models import Exists, F, Max, OuterRef
from django.db.models.functions import Coalesce

from audit import rationing
from audit import services as audit
from tss import rounds
from tss.models import Ceremony, LaterSet
from vaults.actors import Actor
from vaults.models import Group, Holder, HolderStatus, Node
from vaults.selectors import parse_id


def problem(vault_id: uuid.UUID) -> str:
    """Why nothing that changes shares of the vault may start, or ""."""
    for epoch, known, _ in _beyond_the_rows(vault_id):
        return (
            f"nodes hold a later share set (epoch {epoch}) than this database (epoch {known}): "
            "restore a later backup of it"
        )
    return ""


def witnesses(vault_id: uuid.UUID) -> list[str]:
    """The node ids of the holders who say so."""
    return sorted({node_id for _, _, node_id in _beyond_the_rows(vault_id)})


def compare(node: Node, epochs: Mapping[str, int]) -> None:
    """Note the groups of which the node, one of their holders, holds a later set than these rows know.

    epochs: group id -> epoch of the newest certified set in the node's store.
    """
    claimed = {key: epoch for text, epoch in epochs.items() if (key := parse_id(text)) is not None}
    # While a ceremony can end well the nodes may have its certificate before it arrives here.
    listening = Ceremony.objects.filter(vault=OuterRef("vault"), state__in=rounds.LISTENING)
    groups = Group.objects.filter(~Exists(listening), pk__in=list(claimed), holders__node=node)
    for group in groups.select_related("vault").annotate(known=Coalesce(Max("share_sets__epoch"), 0)):
        if claimed[group.pk] > group.known:
            _note(node, group, claimed[group.pk], group.known)


def _note(node: Node, group: Group, epoch: int, known: int) -> None:
    LaterSet.objects.update_or_create(group=group, node=node, defaults={"epoch": epoch})
    if rationing.due(("later_set", node.pk, group.pk)):
        audit.record(
            actor=Actor.of_node(node).label,
            act="share_set.missing",
            subject=f"group:{group.pk}",
            detail={"epoch": epoch, "known": known},
            organisation_id=str(group.vault.organisation_id),
        )


def _beyond_the_rows(vault_id: uuid.UUID) -> list[tuple[int, int, str]]:
    """Epoch as the node says, epoch of the rows, node id; the highest first."""
    known = Coalesce(Max("group__share_sets__epoch"), 0)
    holds = Holder.objects.filter(group=OuterRef("group"), node=OuterRef("node"), status=HolderStatus.VALID)
    rows = LaterSet.objects.filter(Exists(holds), group__vault=vault_id, group__retired_at=None)
    rows = rows.annotate(known=known)
    return list(rows.filter(epoch__gt=F("known")).order_by("-epoch").values_list("epoch", "known", "node_id"))
