"""The requests that run no ceremony: once approved, nodes learn them from later documents (R12, R16)."""

from tss.builders.draft import Draft
from tss.builders.rosters import seats_of
from tss.builders.safety import check_can_decide
from tss.builders.sources import electors, expected_keys, held_by
from tss.builders.wish import Wish
from vaults import policies
from vaults.errors import invalid, missing, wrong_state
from vaults.models import Group, GroupType
from wire.intent import CONVERTED, RETIRED


def role_change(wish: Wish) -> Draft:
    """Another group becomes Main: t of the old Main and t of the promoted group approve (R16).

    Where the old Main is lost the caller names a Recovery group in its stead.
    """
    if wish.original_main not in (RETIRED, CONVERTED):
        raise invalid("original_main", f"must be {RETIRED} or {CONVERTED}")
    group = wish.target()
    if group.type != GroupType.SIGNING:
        raise invalid(wish.names.target, "only a SigningGroup can become the MainGroup")
    held = held_by(group, wish.names.target)
    check_can_decide(held.manifest, wish)
    deciding = wish.source() if wish.source_group_id else _main(wish)
    if deciding.type not in (GroupType.MAIN, GroupType.RECOVERY):
        raise invalid(wish.names.source, "the MainGroup decides, or a RecoveryGroup where it is lost")
    source = electors(held_by(deciding, wish.names.source), wish)
    return Draft(
        target=group,
        manifest=held.manifest,
        seats=seats_of(group),
        held=held,
        source=source,
        expected=expected_keys(held),
        original_main=wish.original_main,
    )


def policy_change(wish: Wish) -> Draft:
    """Other rules for the vault, approved under those in force (R12)."""
    if wish.new_policy is None:
        raise missing("policy")
    unknown = sorted(set(wish.new_policy) - set(policies.RULES))
    if unknown:
        raise invalid(f"policy.{unknown[0]}", f"is none of {', '.join(policies.RULES)}")
    main = _main(wish)
    if wish.target_group_id and wish.target().pk != main.pk:
        raise invalid(wish.names.target, "the MainGroup decides on the vault's policy")
    held = held_by(main, wish.names.target)
    policy = policies.amended(wish.policy, wish.new_policy, predecessor=wish.policy.hash())
    if policies.amended(wish.policy, {}, predecessor=wish.policy.hash()) == policy:
        raise invalid("policy", "changes nothing")
    if policy.required_approvals > held.manifest.participants:
        raise invalid(
            "policy.required_approvals",
            f"the MainGroup has {held.manifest.participants} holders: nothing could be approved any more",
        )
    return Draft(
        target=main,
        manifest=held.manifest,
        seats={},
        held=held,
        source=electors(held, wish),
        expected=expected_keys(held),
        new_policy=policy.encode().decode(),
        new_policy_hash=policy.hash(),
    )


def _main(wish: Wish) -> Group:
    main = wish.active_main()
    if main is None:
        raise wrong_state("the vault has no active MainGroup")
    return main
