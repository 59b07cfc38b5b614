"""Nodes whose store is behind: they are shown the certificate of their group's set in use (R25, R30).

A node that was away catches up by it, one that was restored from an old backup learns that it was, and one
that is no holder any more learns what its share was retired by (R26).
"""

from collections.abc import Iterator, Mapping

from tss.documents import intent_of, manifest_of
from tss.models import RequestType, ShareSet, State
from tss.proofs import path_of
from vaults.models import Node
from vaults.selectors import parse_id

# How many groups a node names at most; one that names as many may hold more.
MAX_EPOCHS = 256
# Of sets that a node lacks, in one answer; each comes with the certificates that lead to it.
_MAX_SETS = 16


def certificates_for(node: Node, epochs: Mapping[str, int]) -> list[bytes]:
    """Final certificates that the node, by its own account, lacks, with those that lead to them from the
    KeyGen's: a node that missed several sets could not check the newest alone.

    epochs: group id -> epoch of the newest certified set in the node's store.
    """
    behind = {each.pk: each for each in (*_of_its_groups(node, epochs), *_in_another_group(node, epochs))}
    newest = sorted(behind.values(), key=lambda share_set: share_set.pk, reverse=True)[:_MAX_SETS]
    vaults = {each.group.vault_id for each in newest}
    return path_of(vaults, [each.certificate_hash for each in newest])


def _of_its_groups(node: Node, epochs: Mapping[str, int]) -> Iterator[ShareSet]:
    active = ShareSet.objects.filter(active=True, group__share_sets__ceremony__members__node=node)
    for share_set in active.select_related("group").distinct():
        known = epochs.get(str(share_set.group_id))
        if known is None:
            # Not who only dealt, nor who has erased its last share.
            holds = node.tss_node_id in manifest_of(share_set.manifest).node_ids
            known = 0 if holds and len(epochs) < MAX_EPOCHS else share_set.epoch
        if known < share_set.epoch:
            yield share_set


def _in_another_group(node: Node, epochs: Mapping[str, int]) -> Iterator[ShareSet]:
    """The sets by which another group took the place of one that the node still holds shares of."""
    held = [key for text in epochs if (key := parse_id(text)) is not None]
    # It may name any group, also another organisation's: only of those that it had a part in it learns more.
    replaced = ShareSet.objects.filter(
        group__in=held, group__retired_at__isnull=False, ceremony__members__node=node
    )
    successors = ShareSet.objects.filter(
        group__vault__in=replaced.values("group__vault"),
        ceremony__request__type=RequestType.RECOVERY,
        ceremony__request__state=State.SUCCEEDED,
    )
    for share_set in successors.exclude(group__in=held).select_related("group", "ceremony__request"):
        retired = {each.group_id for each in intent_of(share_set.ceremony.request.intent).retires}
        if retired & set(epochs):
            yield share_set
