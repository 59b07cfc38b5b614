"""Share sets that exist already: what a group holds, and who of it may vote and deal (R21)."""

from collections.abc import Sequence

from mpc.certificate import Certificate
from tss.builders.draft import HeldSet, Source
from tss.builders.wish import Wish
from tss.documents import manifest_of
from tss.models import ShareSet
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, wrong_state
from vaults.models import Group, GroupStatus, Holder, HolderStatus, Node, NodeKind
from vaults.representation import online
from wire.intent import ExpectedKey


def held_by(group: Group, field: str) -> HeldSet:
    """The active set of a Valid group. Raises ServiceError 2029 that names `field`."""
    share_set = ShareSet.objects.filter(group=group, active=True).first()
    if group.status != GroupStatus.VALID or share_set is None:
        raise wrong_state(f"the group is {group.status} and has no shares to go by", field)
    return HeldSet(group, share_set, manifest_of(group.manifest))


def expected_keys(held: HeldSet) -> tuple[ExpectedKey, ...]:
    """The root keys and chain codes that the set certifies, which must stay."""
    statement = Certificate.parse(bytes(held.share_set.certificate)).statement
    return tuple(ExpectedKey(each.curve, each.root_key, each.chain_code) for each in statement.curves)


def members(group: Group) -> list[Holder]:
    """The group's holders by index, with their nodes."""
    return list(Holder.objects.filter(group=group).select_related("node", "replacement").order_by("index"))


def everyone(held: HeldSet) -> Source:
    """All members in order of preference: the service's holder, then who routinely signs, then by index."""
    order = members(held.group)
    order.sort(key=lambda h: (h.node.kind != NodeKind.SERVICE, not h.signer, h.index))
    return Source(held, order)


def electors(held: HeldSet, wish: Wish) -> Source:
    """All members, for a vote among them.

    Raises ServiceError 2006 where the caller names some, 2025 or 2029 where it could never be won.
    """
    if wish.source_node_ids is not None:
        raise invalid(wish.names.source_nodes, f"every holder may vote on a {wish.type}")
    source = everyone(held)
    _check_enough(_able(source), wish)
    return source


def chosen(held: HeldSet, wish: Wish) -> Source:
    """The holders that the caller named; else those online, or all where too few are. Nobody who is being
    replaced.

    Raises ServiceError 2006 naming the entry at fault, and as `electors`.
    """
    if wish.source_node_ids is not None:
        named = Source(held, _named(held, wish, wish.source_node_ids))
        _check_enough(named, wish)
        return named
    source = _able(everyone(held))
    _check_enough(source, wish)
    awake = [holder for holder in source.eligible if online(holder.node)]
    return Source(held, awake) if len(_counting(awake, wish)) >= _needed(held, wish) else source


def own(node: Node, actor: Actor) -> bool:
    """Whether the node belongs to the member who asks (R14)."""
    return actor.member is not None and node.owner_id == actor.member.pk


def _able(source: Source) -> Source:
    valid = [holder for holder in source.eligible if holder.status == HolderStatus.VALID]
    return Source(source.held, valid)


def _named(held: HeldSet, wish: Wish, node_ids: Sequence[str]) -> list[Holder]:
    field, threshold = wish.names.source_nodes, held.manifest.threshold
    by_id = {holder.node_id: holder for holder in members(held.group)}
    for position, node_id in enumerate(node_ids):
        holder = by_id.get(node_id)
        if holder is None:
            raise invalid(f"{field}[{position}]", "is no holder of the source group")
        if node_id in node_ids[:position]:
            raise invalid(f"{field}[{position}]", "is named twice")
        if holder.status != HolderStatus.VALID:
            raise invalid(f"{field}[{position}]", "is being replaced")
    if len(node_ids) != threshold:
        raise invalid(field, f"must name exactly {threshold} holders, the threshold of the source group")
    return [by_id[node_id] for node_id in node_ids]


def _needed(held: HeldSet, wish: Wish) -> int:
    return max(held.manifest.threshold, wish.policy.required_approvals)


def _counting(holders: Sequence[Holder], wish: Wish) -> list[Holder]:
    return [holder for holder in holders if not own(holder.node, wish.actor)]


def _check_enough(source: Source, wish: Wish) -> None:
    needed, able = _needed(source.held, wish), len(source.eligible)
    words = f"{needed} source holders must approve"
    if able < needed and wish.source_node_ids is not None:
        raise invalid(wish.names.source_nodes, f"{words} by the vault's policy, and only {able} are named")
    if able < needed:
        raise wrong_state(f"{words}, and the group has only {able} that could", wish.names.source)
    others = len(_counting(source.eligible, wish))
    if others < needed:
        raise ServiceError(
            ErrorCode.FORBIDDEN,
            f"{words}, the requester's own nodes not counted (R14): only {others} others could",
            wish.names.source_nodes,
        )
