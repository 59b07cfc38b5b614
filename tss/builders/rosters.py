"""The rosters that a request would make, and what a vault allows of them (R1 is the nodes' to judge)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tss.builders.draft import HeldSet, Seat
from tss.builders.sources import members
from tss.builders.wish import Wish
from tss.documents import manifest_of
from vaults.errors import ErrorCode, ServiceError, invalid, missing
from vaults.models import Group, GroupStatus, GroupType, Holder, HolderStatus, Node, NodeKind
from vaults.services import HolderChoice
from vaults.services.groups import usable
from vaults.services.vaults import check_scheme
from vaults.text import check_name
from wire.identity import HolderCard
from wire.intent import Replacement
from wire.manifest import MAX_PARTICIPANTS, Manifest

_MAX_HOLDER_NAME = 100


def seats_of(group: Group) -> dict[str, Seat]:
    """The seats of a group as it is."""
    return {holder.node_id: Seat(holder.name, holder.signer) for holder in members(group)}


def first_roster(group: Group) -> Manifest:
    """The roster of a New group, with the cards of today."""
    return _with_newest_cards(manifest_of(group.manifest))


def next_epoch(held: HeldSet) -> Manifest:
    """The roster at the next epoch: the cards of today, the role that the group has now (R16)."""
    role = GroupType(held.group.type).removesuffix("Group").lower()
    return replace(_with_newest_cards(held.manifest), role=role, epoch=held.manifest.epoch + 1)


def with_replacements(held: HeldSet) -> tuple[Manifest, dict[str, Seat], tuple[Replacement, ...]]:
    """The roster at the next epoch with every Changed holder's place given to its replacement."""
    cards, seats, replaces, roster = [], {}, [], next_epoch(held)
    for holder in members(held.group):
        node_id = holder.node_id
        card = roster.card_of(node_id)
        if holder.replacement is not None:
            replaces.append(Replacement(old=node_id, new=holder.replacement.pk))
            card, node_id = HolderCard.from_json(holder.replacement.holder_card), holder.replacement.pk
        cards.append(card)
        seats[node_id] = Seat(holder.name, holder.signer)
    return replace(roster, holders=tuple(cards)), seats, tuple(replaces)


def as_named(held: HeldSet, wish: Wish) -> tuple[Manifest, dict[str, Seat], tuple[Replacement, ...]]:
    """The roster at the next epoch that the caller names, in that order. Raises ServiceError 2003, 2006."""
    if not wish.holders:
        raise missing("holders")
    if wish.threshold is None:
        raise missing("threshold")
    if not 2 <= len(wish.holders) <= MAX_PARTICIPANTS:
        raise invalid("holders", f"must have between 2 and {MAX_PARTICIPANTS} entries")
    check_scheme(len(wish.holders), wish.threshold)
    before = {holder.node_id: holder for holder in members(held.group)}
    replaced = {holder.replacement_id: holder for holder in before.values() if holder.replacement_id}
    nodes = Node.objects.in_bulk([choice.tss_node_id for choice in wish.holders])
    cards, seats = [], {}
    for position, choice in enumerate(wish.holders):
        field = f"holders[{position}]"
        node = _node(choice, nodes, wish, field)
        if node.pk in seats:
            raise invalid(f"{field}.tss_node_id", "is named twice")
        old = before.get(node.pk)
        if old is not None and old.status == HolderStatus.CHANGED:
            raise invalid(f"{field}.tss_node_id", "is being replaced")
        cards.append(HolderCard.from_json(node.holder_card))
        # A member's place keeps its name.
        place = old or replaced.get(node.pk)
        seats[node.pk] = Seat(choice.name or (place.name if place else node.name), choice.signer)
    if set(seats) == set(before) and wish.threshold == held.manifest.threshold:
        raise invalid("holders", "neither members nor threshold would change: ask for a Refresh")
    manifest = replace(next_epoch(held), threshold=wish.threshold, holders=tuple(cards))
    replaces = tuple(Replacement(holder.node_id, new) for new, holder in replaced.items() if new in seats)
    return manifest, seats, replaces


def check_service(manifest: Manifest, wish: Wish) -> None:
    """Raises ServiceError 2025 for a service holder that the organisation does not use."""
    if wish.vault.organisation.service_signer_enabled:
        return
    if Node.objects.filter(pk__in=manifest.node_ids, kind=NodeKind.SERVICE).exists():
        raise ServiceError(
            ErrorCode.FORBIDDEN, "the organisation does not use the service holder", wish.names.target
        )


def check_shared(manifest: Manifest, leaving: Sequence[Group], wish: Wish) -> None:
    """Where the vault's policy wants it, no node holds shares in two groups (R29).

    leaving: groups whose shares the request retires. Raises ServiceError 2006.
    """
    if wish.policy.shared_nodes:
        return
    elsewhere = Holder.objects.filter(
        group__vault=wish.vault,
        group__status=GroupStatus.VALID,
        group__retired_at__isnull=True,
        node__in=manifest.node_ids,
    ).exclude(group__in=[manifest.group_id, *(group.pk for group in leaving)])
    shared = elsewhere.values_list("node", flat=True).first()
    if shared is not None:
        raise invalid(
            wish.names.target, f"{shared} holds shares in another group, and the vault's policy forbids that"
        )


def _with_newest_cards(manifest: Manifest) -> Manifest:
    """R7: a card that changed since the group was made comes into its next roster."""
    nodes = Node.objects.in_bulk(manifest.node_ids)
    return replace(
        manifest,
        holders=tuple(
            HolderCard.from_json(nodes[card.node_id].holder_card)
            if nodes[card.node_id].card_version > card.version
            else card
            for card in manifest.holders
        ),
    )


def _node(choice: HolderChoice, nodes: Mapping[str, Node], wish: Wish, field: str) -> Node:
    if not choice.tss_node_id:
        raise missing(f"{field}.tss_node_id")
    node = nodes.get(choice.tss_node_id)
    if node is None or not usable(node, wish.vault):
        raise invalid(f"{field}.tss_node_id", "no such node")
    if choice.name:
        check_name(choice.name, field=f"{field}.name", max_length=_MAX_HOLDER_NAME)
    return node
