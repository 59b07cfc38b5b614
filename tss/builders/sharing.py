"""The requests that make shares: of a new key, or of a key that exists (R6, R21, R26, R29)."""

from tss.builders.draft import Draft, HeldSet
from tss.builders.rosters import (
    as_named,
    check_service,
    check_shared,
    first_roster,
    next_epoch,
    seats_of,
    with_replacements,
)
from tss.builders.safety import check_can_decide, check_overlap
from tss.builders.sources import chosen, everyone, expected_keys, held_by, members
from tss.builders.wish import Wish
from vaults.errors import invalid, missing, wrong_state
from vaults.models import Group, GroupStatus, GroupType, RootKey
from wire.intent import Replacement


def key_gen(wish: Wish) -> Draft:
    """A new key for a New MainGroup; every holder approves, nobody else has a part in it."""
    if wish.source_group_id or wish.source_node_ids is not None:
        raise invalid(wish.names.source_object, "KeyGen makes a new key and has no source group")
    group = wish.target()
    field = wish.names.target
    if group.type != GroupType.MAIN:
        raise invalid(field, "KeyGen needs a MainGroup")
    if wish.active_main() not in (None, group):
        raise wrong_state("the vault has an active MainGroup already", field)
    if group.status != GroupStatus.NEW:
        raise wrong_state(f"the group is {group.status}, KeyGen needs a New one", field)
    if RootKey.objects.filter(vault=wish.vault).exists():
        raise wrong_state("the vault has a key already; a New MainGroup gets shares by Recovery", field)
    manifest = first_roster(group)
    check_service(manifest, wish)
    check_can_decide(manifest, wish)
    return Draft(target=group, manifest=manifest, seats=seats_of(group))


def key_gen_from_key_group(wish: Wish) -> Draft:
    """Shares of the Main group's key for a New Signing or Recovery group."""
    source = _other_source(wish, GroupType.MAIN)
    group = wish.target()
    if group.type == GroupType.MAIN:
        raise invalid(wish.names.target, "KeyGenFromKeyGroup is for a SigningGroup or a RecoveryGroup")
    if group.status != GroupStatus.NEW:
        raise wrong_state(f"the group is {group.status}, it has shares already", wish.names.target)
    held = held_by(source, wish.names.source)
    manifest = first_roster(group)
    if group.type == GroupType.RECOVERY:
        check_overlap(manifest, wish)
        check_can_decide(manifest, wish)
    check_service(manifest, wish)
    check_shared(manifest, [], wish)
    return Draft(
        target=group,
        manifest=manifest,
        seats=seats_of(group),
        source=chosen(held, wish),
        expected=expected_keys(held),
    )


def recovery(wish: Wish) -> Draft:
    """A Recovery group brings back the Main group: with its lost holders replaced, or as another group."""
    group_of_source = _other_source(wish, GroupType.RECOVERY)
    group, main, field = wish.target(), wish.active_main(), wish.names.target
    if group.type != GroupType.MAIN:
        raise invalid(field, "a Recovery is for a MainGroup")
    held = held_by(group_of_source, wish.names.source)
    before = held_by(group, field) if group == main else None
    replaces: tuple[Replacement, ...] = ()
    if before is None:
        manifest, seats = first_roster(group), seats_of(group)
    else:
        manifest, seats, replaces = with_replacements(before)
        if not replaces:
            raise wrong_state(
                "no holder of the group is being replaced: say first which node replaces which", field
            )
    check_service(manifest, wish)
    check_can_decide(manifest, wish)
    check_shared(manifest, [main] if main else [], wish)
    return Draft(
        target=group,
        manifest=manifest,
        seats=seats,
        held=before,
        source=chosen(held, wish),
        expected=expected_keys(held),
        replaces=replaces,
        retires=(held_by(main, field).retired(),) if main else (),
        # R17: whoever holds the Main group hears of it, the lost holder too.
        told={holder.node_id: holder.name for holder in members(main)} if main else {},
    )


def refresh(wish: Wish) -> Draft:
    """New shares for the same holders at the same threshold; every one of them approves (test 37)."""
    if wish.holders or wish.threshold is not None:
        raise invalid("threshold", "a Refresh changes neither holders nor threshold: ask for a Reshare")
    if wish.source_node_ids is not None:
        raise invalid(wish.names.source_nodes, "every holder takes part in a Refresh")
    held = _own_set(wish)
    leaving = [holder.name for holder in members(held.group) if holder.replacement_id]
    if leaving:
        raise wrong_state(
            f"{', '.join(leaving)} is being replaced: ask for a Recovery or a Reshare", wish.names.target
        )
    manifest = next_epoch(held)
    check_service(manifest, wish)
    return Draft(
        target=held.group,
        manifest=manifest,
        seats=seats_of(held.group),
        held=held,
        source=everyone(held),
        expected=expected_keys(held),
        retires=(held.retired(),),
    )


def reshare(wish: Wish) -> Draft:
    """Another roster or threshold for a group that has shares."""
    held = _own_set(wish)
    manifest, seats, replaces = as_named(held, wish)
    if held.group.type == GroupType.RECOVERY:
        check_overlap(manifest, wish)
    if held.group.type != GroupType.SIGNING:
        check_can_decide(manifest, wish)
    check_service(manifest, wish)
    check_shared(manifest, [], wish)
    return Draft(
        target=held.group,
        manifest=manifest,
        seats=seats,
        held=held,
        source=chosen(held, wish),
        expected=expected_keys(held),
        replaces=replaces,
        retires=(held.retired(),),
    )


def _other_source(wish: Wish, type: GroupType) -> Group:
    if not wish.source_group_id:
        raise missing(wish.names.source_object)
    source = wish.source()
    field = wish.names.source
    if source.pk == wish.target().pk:
        raise invalid(field, "must be another group than the target")
    if source.type != type:
        raise invalid(field, f"a {wish.type} takes its shares from a {type}")
    return source


def _own_set(wish: Wish) -> HeldSet:
    """What the target itself holds, for a request whose source it is as well."""
    group = wish.target()
    if wish.source_group_id and wish.source().pk != group.pk:
        raise invalid(wish.names.source, f"the source of a {wish.type} is its target")
    return held_by(group, wish.names.target)
