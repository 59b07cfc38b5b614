"""What each type of request may do to groups, epochs and holders (R11, R16, R26; tests 37, 44, 46)."""

from mpc.certificate import Certificate
from signers.checks.chain import roster
from signers.errors import Refusal
from wire.anchor import Anchor
from wire.intent import (
    KEY_GEN_FROM_KEY_GROUP,
    POLICY_CHANGE,
    RECOVERY,
    REFRESH,
    RESHARE,
    ROLE_CHANGE,
    GroupReference,
    Intent,
    RetiredSets,
)
from wire.manifest import Manifest

_WHOLE_ROSTER_VOTES = (REFRESH, ROLE_CHANGE, POLICY_CHANGE)


def check_key_gen(intent: Intent) -> None:
    """Raises Refusal: wrong_role, wrong_epoch, wrong_target_set, bad_retires."""
    if intent.target.role != "main":
        raise Refusal("wrong_role", f"KeyGen makes a main group, not a {intent.target.role} group")
    _check_new_group(intent)
    _check_retires(intent, ())


def check_change(
    intent: Intent, source: GroupReference, held: Certificate | None, anchor: Anchor, manifest: Manifest
) -> None:
    """Whether this type may take this source to that target, for every type but KeyGen.

    source: the intent's; held: the verified certificate of the set that the target group holds now, None for
    a group without shares; manifest: the target's. Raises Refusal.
    """
    if intent.type == KEY_GEN_FROM_KEY_GROUP:
        _check_key_gen_from_key_group(intent, source, anchor)
    elif intent.type == RECOVERY:
        _check_recovery(intent, source, held, anchor, manifest)
    elif intent.type in (REFRESH, RESHARE):
        _check_in_place(intent, source, held, anchor, manifest)
    else:
        _check_decree(intent, source, held, anchor)


def check_eligible(intent: Intent, source: Manifest, needed: int) -> None:
    """Those who may vote and deal are source holders, and enough; needed: by the policy (R21)."""
    strangers = [node_id for node_id in intent.eligible if node_id not in source.node_ids]
    if strangers:
        raise Refusal("bad_eligible", f"{strangers[0]} is no holder of the source group")
    if intent.type in _WHOLE_ROSTER_VOTES and set(intent.eligible) != set(source.node_ids):
        raise Refusal("bad_eligible", f"every holder of the source group has a vote in a {intent.type}")
    # A Refresh is everybody's vote; the others need so many of the eligible (wire.electorate).
    if len(intent.eligible) < max(source.threshold, 0 if intent.type == REFRESH else needed):
        raise Refusal("bad_eligible", f"{len(intent.eligible)} eligible holders are too few")


def _check_key_gen_from_key_group(intent: Intent, source: GroupReference, anchor: Anchor) -> None:
    if source.group_id != anchor.main_group_id:
        raise Refusal("source_not_main", "only the Main group gives other groups their shares (R16)")
    if intent.target.role not in ("signing", "recovery"):
        raise Refusal("wrong_role", "a Main group makes signing and recovery groups, not another Main group")
    _check_other_group(intent, source)
    _check_new_group(intent)
    _check_retires(intent, ())


def _check_recovery(
    intent: Intent, source: GroupReference, held: Certificate | None, anchor: Anchor, manifest: Manifest
) -> None:
    if source.role != "recovery" or source.group_id == anchor.main_group_id:
        raise Refusal("source_not_recovery", "a Recovery starts from a recovery group")
    if intent.target.role != "main":
        raise Refusal("wrong_role", f"a Recovery makes a main group, not a {intent.target.role} group")
    _check_other_group(intent, source)
    if intent.target.group_id == anchor.main_group_id:
        current = _next_epoch(intent, held)
        before, after = list(roster(current)), list(manifest.node_ids)
        new_of = _check_replacements(intent, before, after)
        # Tests 44 and 46: it brings replaced holders back, at their places, and changes nothing else.
        if [new_of.get(node_id, node_id) for node_id in before] != after:
            raise Refusal("members_changed", "a Recovery only puts new nodes in the place of old ones")
        if not intent.replaces:
            raise Refusal("nothing_replaced", "a Recovery of the Main group replaces one of its nodes")
        _check_same_threshold(intent, current)
        _check_retires(intent, (_set_of(intent.target.group_id, current),))
    else:
        _check_new_group(intent)
        if intent.replaces:
            raise Refusal("bad_replacement", "a new group has no nodes to replace")
        # R26: the lost Main group is what this Recovery takes the place of.
        if [each.group_id for each in intent.retires] != [anchor.main_group_id]:
            raise Refusal("bad_retires", "a Recovery into another group retires the Main group, nothing else")


def _check_in_place(
    intent: Intent, source: GroupReference, held: Certificate | None, anchor: Anchor, manifest: Manifest
) -> None:
    if intent.target.group_id != source.group_id:
        raise Refusal("not_in_place", f"a {intent.type} changes the group that deals, no other")
    if intent.target.certificate_hash != source.certificate_hash:
        raise Refusal("wrong_target_set", f"a {intent.type} starts from the set that the group holds")
    if intent.target.role not in _roles_now(source, anchor):
        raise Refusal("wrong_role", f"a {intent.type} does not change the role of a group (R16)")
    current = _next_epoch(intent, held)
    before, after = list(roster(current)), list(manifest.node_ids)
    if intent.type == REFRESH:
        if before != after:
            raise Refusal("members_changed", "a Refresh keeps its members: ask for a change of members")
        _check_same_threshold(intent, current)
    else:
        _check_replacements(intent, before, after)
    _check_retires(intent, (_set_of(intent.target.group_id, current),))


def _check_decree(intent: Intent, source: GroupReference, held: Certificate | None, anchor: Anchor) -> None:
    if intent.type == POLICY_CHANGE:
        if source.group_id != anchor.main_group_id:
            raise Refusal("source_not_main", "the Main group decides about the policy (R12)")
        if intent.target != source:
            raise Refusal("wrong_target_set", "a PolicyChange names the Main group and its set twice")
        return
    if source.group_id != anchor.main_group_id and source.role != "recovery":
        raise Refusal("source_not_main", "the Main group, or a Recovery group, decides who is Main (R16)")
    _check_other_group(intent, source)
    if intent.target.group_id == anchor.main_group_id:
        raise Refusal("wrong_role", "the group is the Main group already")
    if held is None:
        raise Refusal("wrong_target_set", "a group without shares cannot become Main")
    context, target = held.statement.context, intent.target
    certified = (context.role, context.epoch, context.manifest_hash, context.threshold, context.receivers)
    if certified != (
        target.role,
        target.epoch,
        target.manifest_hash,
        target.threshold,
        target.participants,
    ):
        raise Refusal("target_mismatch", "the promoted group is not the one that its certificate describes")


def _roles_now(source: GroupReference, anchor: Anchor) -> set[str]:
    """A change of role makes no new set, so a set's certificate may tell an older role of its group."""
    if source.group_id == anchor.main_group_id:
        return {source.role, "main"}
    return {"signing", "main"} if source.role == "main" else {source.role}


def _check_other_group(intent: Intent, source: GroupReference) -> None:
    if intent.target.group_id == source.group_id:
        raise Refusal("same_group", f"source and target of a {intent.type} are different groups")


def _check_new_group(intent: Intent) -> None:
    if intent.target.certificate_hash:
        raise Refusal("wrong_target_set", "a new group holds no set yet")
    if intent.target.epoch != 1:
        raise Refusal("wrong_epoch", "the first share set of a group has epoch 1")


def _next_epoch(intent: Intent, held: Certificate | None) -> Certificate:
    if held is None:
        raise Refusal("wrong_target_set", "the set that the group holds now is not named")
    if intent.target.epoch != held.statement.context.epoch + 1:
        raise Refusal(
            "wrong_epoch",
            f"the group holds epoch {held.statement.context.epoch}, so the next is"
            f" {held.statement.context.epoch + 1} and not {intent.target.epoch}",
        )
    return held


def _check_same_threshold(intent: Intent, current: Certificate) -> None:
    # Test 37.
    if intent.target.threshold != current.statement.context.threshold:
        raise Refusal(
            "threshold_changed",
            f"a {intent.type} keeps the threshold {current.statement.context.threshold}:"
            " ask for a change of members or threshold",
        )


def _check_replacements(intent: Intent, before: list[str], after: list[str]) -> dict[str, str]:
    """Old -> new node ids, each old one a holder that leaves and each new one a holder that comes."""
    new_of = {each.old: each.new for each in intent.replaces}
    if len(new_of) != len(intent.replaces) or len(set(new_of.values())) != len(new_of):
        raise Refusal("bad_replacement", "a node is replaced, or takes a place, twice")
    for old, new in new_of.items():
        if old not in before:
            raise Refusal("bad_replacement", f"{old} is replaced but holds no share of the group")
        if old in after:
            raise Refusal("replaced_node_stays", f"{old} is replaced and still in the new manifest (R6)")
        if new not in after or new in before:
            raise Refusal("bad_replacement", f"{new} takes no new place in the group")
    return new_of


def _set_of(group_id: str, certificate: Certificate) -> RetiredSets:
    return RetiredSets(group_id, certificate.statement.context.epoch, certificate.hash())


def _check_retires(intent: Intent, expected: tuple[RetiredSets, ...]) -> None:
    # R26: shares are erased by this list, so it names what the request itself replaces and nothing else.
    if intent.retires != expected:
        raise Refusal("bad_retires", f"a {intent.type} cannot retire these share sets")
