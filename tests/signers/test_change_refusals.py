"""What each type of request may change, and a refusal for everything else (P08, N01, N09, 37, 44, 46; R1, R6,
R11, R16, R21, R26, R29)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signers.policy import Policy, parse_policy
from tests.signers.lineage import MAIN, POLICY, RULES, SIGNING, SPARE, VAULT, Lineage, Proposal, refusal
from wire.intent import TYPES, Replacement, RetiredSets
from wire.policy import CREATORS

pytestmark = pytest.mark.slow

Ask = Callable[[Lineage], Proposal]

HONEST: dict[str, tuple[str, Ask]] = {
    "KeyGenFromKeyGroup": ("a", lambda vault: vault.share_to("signing-2", "xy", 2)),
    "Recovery": ("a", lambda vault: vault.recover({"c": "x"})),
    "Recovery into another group": ("x", lambda vault: vault.recover_into("main-2", "axy", 2)),
    "Refresh": ("a", lambda vault: vault.refresh()),
    "Reshare": ("a", lambda vault: vault.reshare("abx", 3, replaces={"c": "x"})),
    "RoleChange": ("a", lambda vault: vault.change_role(SIGNING)),
    "RoleChange by Recovery": ("f", lambda vault: vault.change_role(SIGNING, source=SPARE)),
    "PolicyChange": ("a", lambda vault: vault.change_policy(required_approvals=3)),
}
EVERY = sorted(HONEST)


def asked(vault: Lineage, kind: str) -> tuple[str, Proposal]:
    name, ask = HONEST[kind]
    return name, ask(vault)


def refused(vault: Lineage, name: str, proposal: Proposal, rules: Policy = RULES, **shown: Any) -> str:
    return refusal(lambda: vault.judge(name, proposal, rules, **shown))


@pytest.mark.parametrize("kind", EVERY)
def test_every_honest_request_passes(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    checked = vault.judge(name, proposal)
    assert checked.voter
    assert checked.digest == proposal.intent.digest()
    assert not checked.automatic


# roles


def test_r16_only_main_gives_shares_to_other_groups(vault: Lineage) -> None:
    proposal = vault.share_to("signing-2", "xy", 2)
    held = vault.sets[SIGNING]
    other = replace(proposal, source_manifest=held.manifest).but(
        source=held.reference(), eligible=held.manifest.node_ids
    )
    assert refused(vault, "x", other) == "source_not_main"


def test_r16_a_main_group_is_not_made_from_a_main_group(vault: Lineage) -> None:
    proposal = vault.share_to("main-2", "xy", 2, "main")
    assert refused(vault, "x", proposal) == "wrong_role"


@pytest.mark.parametrize("source", [MAIN, SIGNING])
def test_r16_a_recovery_starts_from_a_recovery_group(vault: Lineage, source: str) -> None:
    assert refused(vault, "x", vault.recover_into("main-2", "xy", 2, source)) == "source_not_recovery"


def test_r16_a_recovery_makes_a_main_group(vault: Lineage) -> None:
    proposal = vault.recover_into("main-2", "xy", 2)
    signing = replace(proposal.manifest, role="signing")
    assert refused(vault, "x", proposal.with_manifest(signing)) == "wrong_role"


@pytest.mark.parametrize("kind", ["Refresh", "Reshare"])
def test_r16_in_place_nobody_is_promoted(vault: Lineage, kind: str) -> None:
    proposal = vault.refresh(SIGNING) if kind == "Refresh" else vault.reshare("dex", 2, SIGNING)
    promoted = proposal.with_manifest(replace(proposal.manifest, role="main"))
    assert refused(vault, "d", promoted) == "wrong_role"


@pytest.mark.parametrize("kind", ["Refresh", "Reshare"])
def test_in_place_the_source_is_the_target(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    elsewhere = replace(proposal.manifest, group_id="main-2", epoch=1)
    moved = proposal.with_manifest(elsewhere)
    moved = moved.but(target=replace(moved.intent.target, group_id="main-2", certificate_hash=b""))
    assert refused(vault, name, moved) == "not_in_place"
    empty = replace(proposal.intent.target, certificate_hash=b"")
    assert refused(vault, name, proposal.but(target=empty)) in ("wrong_target_set", "target_superseded")


def test_source_and_target_are_different_groups(vault: Lineage) -> None:
    proposal = vault.share_to(MAIN, "abc", 2)
    assert refused(vault, "a", proposal) == "same_group"


def test_r16_role_changes(vault: Lineage) -> None:
    assert refused(vault, "d", vault.change_role(SIGNING, source=SIGNING)) == "source_not_main"
    assert refused(vault, "a", vault.change_role(MAIN)) == "same_group"
    assert refused(vault, "f", vault.change_role(MAIN, source=SPARE)) == "wrong_role"
    proposal = vault.change_role(SIGNING, source=SPARE)
    nothing = replace(proposal.intent.target, certificate_hash=b"")
    assert refused(vault, "f", proposal.but(target=nothing)) == "wrong_target_set"
    proposal = vault.change_role(SIGNING)
    other = proposal.with_manifest(replace(proposal.manifest, holders=vault.sets[MAIN].manifest.holders))
    assert refused(vault, "a", other) == "target_mismatch"


def test_r12_a_policy_change_is_the_main_groups(vault: Lineage) -> None:
    proposal = vault.change_policy(required_approvals=3)
    held = vault.sets[SIGNING]
    other = replace(proposal, source_manifest=held.manifest).but(
        source=held.reference(), eligible=held.manifest.node_ids
    )
    assert refused(vault, "d", other) == "source_not_main"
    target = vault.sets[SIGNING]
    wrong = replace(proposal, manifest=target.manifest).but(target=target.reference())
    assert refused(vault, "a", wrong) == "wrong_target_set"


# epochs


@pytest.mark.parametrize(
    ("kind", "epoch"),
    [("Refresh", 1), ("Refresh", 3), ("Reshare", 3), ("Recovery", 1), ("Recovery", 7)],
)
def test_the_next_epoch_follows_the_present_one(vault: Lineage, kind: str, epoch: int) -> None:
    name, proposal = asked(vault, kind)
    other = proposal.with_manifest(replace(proposal.manifest, epoch=epoch))
    # Node b knows no more than a; both know that the group holds epoch 1.
    assert refused(vault, name, other) == "wrong_epoch"


@pytest.mark.parametrize("kind", ["KeyGenFromKeyGroup", "Recovery into another group"])
def test_a_new_group_begins_with_epoch_one(vault: Lineage, kind: str) -> None:
    _, proposal = asked(vault, kind)
    later = proposal.with_manifest(replace(proposal.manifest, epoch=2))
    assert refused(vault, "x", later) == "wrong_epoch"
    held = replace(proposal.intent.target, certificate_hash=vault.sets[MAIN].certificate.hash())
    assert refused(vault, "x", proposal.but(target=held)) in ("wrong_target_set", "target_mismatch")


# members and threshold


def test_37_a_refresh_keeps_the_threshold(vault: Lineage) -> None:
    proposal = vault.refresh()
    for threshold in (3, 1):
        changed = proposal.with_manifest(replace(proposal.manifest, threshold=threshold))
        assert refused(vault, "a", changed) == "threshold_changed"


def test_37_a_recovery_keeps_the_threshold(vault: Lineage) -> None:
    proposal = vault.recover({"c": "x"})
    changed = proposal.with_manifest(replace(proposal.manifest, threshold=3))
    assert refused(vault, "a", changed) == "threshold_changed"


@pytest.mark.parametrize("names", ["abx", "acb", "ab", "abcx"])
def test_37_a_refresh_keeps_its_members_and_their_places(vault: Lineage, names: str) -> None:
    proposal = vault.refresh()
    other = proposal.with_manifest(vault.manifest(MAIN, names, 2, "main", 2))
    assert refused(vault, "a", other) == "members_changed"


@pytest.mark.parametrize("names", ["xba", "abxy", "ax", "axc"])
def test_44_a_recovery_only_fills_the_places_of_replaced_nodes(vault: Lineage, names: str) -> None:
    """The honest one is a, b, x: nobody else moves, joins or leaves."""
    proposal = vault.recover({"c": "x"})
    other = proposal.with_manifest(vault.manifest(MAIN, names, 2, "main", 2))
    assert refused(vault, "a", other) in ("members_changed", "replaced_node_stays", "bad_replacement")


def test_44_a_recovery_that_replaces_nobody(vault: Lineage) -> None:
    proposal = vault.recover({"c": "x"}).but(replaces=())
    same = proposal.with_manifest(replace(vault.sets[MAIN].manifest, epoch=2))
    assert refused(vault, "a", same) == "nothing_replaced"


@pytest.mark.parametrize("kind", ["Recovery", "Reshare"])
def test_46_a_replaced_node_is_not_in_the_new_manifest(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    kept = proposal.with_manifest(vault.manifest(MAIN, "acx", 2, "main", 2))
    assert refused(vault, name, kept) == "replaced_node_stays"


@pytest.mark.parametrize(
    ("replaces", "code"),
    [
        ((("y", "x"),), "bad_replacement"),  # y holds no share
        ((("c", "y"),), "bad_replacement"),  # y gets none
        ((("c", "a"),), "bad_replacement"),  # a has one already
        ((("c", "x"), ("c", "x")), "bad_replacement"),
    ],
)
def test_46_replacements_name_who_goes_and_who_comes(
    vault: Lineage, replaces: tuple[tuple[str, str], ...], code: str
) -> None:
    named = tuple(Replacement(vault.id(old), vault.id(new)) for old, new in replaces)
    assert refused(vault, "a", vault.recover({"c": "x"}).but(replaces=named)) == code
    assert refused(vault, "a", vault.reshare("abx", 2).but(replaces=named)) == code


def test_46_a_new_group_replaces_nobody(vault: Lineage) -> None:
    proposal = vault.recover_into("main-2", "axy", 2).but(replaces=vault.replaced({"c": "x"}))
    assert refused(vault, "x", proposal) == "bad_replacement"


def test_r6_a_replaced_node_gets_no_share_again(vault: Lineage) -> None:
    vault.run(vault.recover({"c": "x"}), "fg")
    assert refused(vault, "a", vault.reshare("abc", 2)) == "revoked_node"
    assert refused(vault, "a", vault.share_to("signing-2", "cy", 2)) == "revoked_node"
    # Nodes that had no part in the replacement do not know of it, a threshold of the dealers does.
    assert vault.judge("y", vault.share_to("signing-2", "cy", 2)).voter


# pins


@pytest.mark.parametrize("kind", ["KeyGenFromKeyGroup", "Recovery", "Recovery into another group", "Reshare"])
def test_r5_every_new_holder_is_pinned(vault: Lineage, kind: str) -> None:
    member = vault.members["b"] if kind != "Recovery into another group" else vault.members["a"]
    name = "b" if kind != "Recovery into another group" else "a"
    member.store.pins.remove(vault.id("x"))
    _, proposal = asked(vault, kind)
    assert refused(vault, name, proposal) == "unpinned_node"


def test_r5_source_holders_are_known_by_their_certificate(vault: Lineage) -> None:
    for name in "fgh":
        vault.members["a"].store.pins.remove(vault.id(name))
    assert vault.judge("a", vault.recover({"c": "x"})).voter


def test_n01_a_swapped_key_of_a_source_holder(vault: Lineage) -> None:
    """A pin is compared wherever its node appears, also where none is needed."""
    proposal = vault.recover({"c": "x"})
    other = vault.members["y"].card

    def swap(text: str) -> str:
        old = vault.members["f"].card
        return text.replace(old.signing_key.hex(), other.signing_key.hex())

    assert proposal.source_manifest is not None
    shown = swap(proposal.source_manifest.encode().decode())
    assert refused(vault, "a", proposal, source_manifest=shown) == "pin_mismatch"


def test_r1_the_service_alone_never_has_the_key(tmp_path: Path) -> None:
    vault = Lineage(tmp_path / "v", "abcst", {"s": "service", "t": "service"})
    try:
        vault.run(vault.key_gen("abc"))
        vault.give_anchor("a", "s", "t")
        proposal = vault.share_to("signing-2", "ast", 2)
        assert refused(vault, "a", proposal) == "service_has_threshold"
        assert vault.judge("a", vault.share_to("signing-2", "ast", 3).but(operators_needed=2)).voter
        # Two nodes of one operator are one operator.
        three = vault.share_to("signing-2", "abst", 3).but(operators_needed=3)
        assert refused(vault, "a", three) == "operators_overstated"
    finally:
        vault.close()


# what is retired


@pytest.mark.parametrize("kind", [kind for kind in EVERY if not kind.startswith(("Role", "Policy"))])
def test_r26_a_request_retires_what_it_replaces_and_nothing_else(vault: Lineage, kind: str) -> None:
    name, (_, proposal) = "a", asked(vault, kind)
    foreign = RetiredSets(SIGNING, 1, vault.sets[SIGNING].certificate.hash())
    more = (*proposal.intent.retires, foreign)
    assert refused(vault, name, proposal.but(retires=more)) == "bad_retires"
    if proposal.intent.retires:
        assert refused(vault, name, proposal.but(retires=())) == "bad_retires"
        above = tuple(replace(each, epoch=each.epoch + 1) for each in proposal.intent.retires)
        assert refused(vault, name, proposal.but(retires=above)) == "bad_retires"
        other = tuple(replace(each, certificate_hash=bytes(32)) for each in proposal.intent.retires)
        assert refused(vault, name, proposal.but(retires=other)) == "bad_retires"


# who may decide


@pytest.mark.parametrize("kind", EVERY)
def test_r21_eligible_are_enough_source_holders(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    eligible = proposal.intent.eligible
    strangers = (vault.id("y"), *eligible)
    assert refused(vault, name, proposal.but(eligible=strangers)) == "bad_eligible"
    if kind != "RoleChange by Recovery":
        assert refused(vault, name, proposal.but(eligible=eligible[:1])) == "bad_eligible"


@pytest.mark.parametrize("kind", ["Refresh", "RoleChange", "PolicyChange"])
def test_r21_nobody_is_left_out_of_a_whole_vote(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    assert refused(vault, name, proposal.but(eligible=proposal.intent.eligible[:2])) == "bad_eligible"


def test_r12_the_policy_may_ask_for_more_than_the_protocol(vault: Lineage) -> None:
    proposal = vault.share_to("signing-2", "xy", 2).but(eligible=vault.ids("ab"))
    assert vault.judge("x", proposal).voter
    changed = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    vault.decrees.append(vault.decree(changed))
    assert changed.new_policy is not None
    vault.policy = changed.new_policy
    stricter = vault.share_to("signing-2", "xy", 2).but(eligible=vault.ids("ab"))
    assert refused(vault, "x", stricter) == "bad_eligible"


def test_r12_a_refresh_is_everybodys_vote_however_few_they_are(vault: Lineage) -> None:
    changed = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    vault.decrees.append(vault.decree(changed))
    assert changed.new_policy is not None
    vault.policy = changed.new_policy
    assert vault.judge("d", vault.refresh(SIGNING)).voter
    assert refused(vault, "d", vault.reshare("dex", 2, SIGNING)) == "bad_eligible"


# R29


def test_r29_operators_needed_are_not_overstated(vault: Lineage) -> None:
    assert refused(vault, "a", vault.share_to("signing-2", "axy", 3).but(operators_needed=3)) == (
        "operators_overstated"  # Main stays, and two of it are enough
    )
    raised = vault.reshare("abx", 3)
    assert vault.judge("a", raised.but(operators_needed=3)).voter
    assert refused(vault, "a", raised.but(operators_needed=4)) == "operators_overstated"


@pytest.mark.parametrize(("names", "code"), [("abc", True), ("abx", True), ("axy", False)])
def test_r29_a_recovery_group_of_the_main_holders_is_accepted_openly(
    vault: Lineage, names: str, code: bool
) -> None:
    proposal = vault.share_to("recovery-2", names, 2, "recovery")
    if code:
        assert refused(vault, "a", proposal) == "overlap_not_accepted"
    assert vault.judge("a", proposal.but(overlap_accepted=code)).voter
    assert vault.judge("a", vault.share_to("signing-2", names, 2)).voter


def test_r29_a_recovery_group_does_not_become_the_main_group_by_a_reshare(vault: Lineage) -> None:
    proposal = vault.reshare("abf", 2, SPARE)
    assert refused(vault, "a", proposal) == "overlap_not_accepted"


def test_r29_a_policy_may_want_each_node_in_one_group(tmp_path: Path) -> None:
    vault = Lineage(tmp_path / "v", "abcfghx")
    vault.policy = replace(POLICY, shared_nodes=False)
    try:
        vault.run(vault.key_gen("abc"))
        vault.give_anchor("a", *"fghx")
        assert refused(vault, "a", vault.share_to(SPARE, "afg", 2, "recovery")) == "node_shared"
        vault.run(vault.share_to(SPARE, "fgh", 2, "recovery"), "ab")
        assert refused(vault, "f", vault.recover({"c": "f"})) == "node_shared"
        assert vault.judge("x", vault.recover({"c": "x"})).voter
        # The lost Main group gives its place up, so its members may be in the new one.
        assert vault.judge("a", vault.recover_into("main-2", "abx", 2)).voter
    finally:
        vault.close()


# local rules


def rules(**rule: Any) -> Policy:
    entry = {"types": list(TYPES), "vaults": ["*"], "action": "ask", **rule}
    return parse_policy({"version": 1, "rule": [entry]}, "https://example.com")


@pytest.mark.parametrize(
    "kind", ["KeyGenFromKeyGroup", "Recovery", "Recovery into another group", "Reshare", "RoleChange"]
)
def test_n09_a_threshold_below_the_local_floor(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    if kind == "Reshare":
        proposal = vault.reshare("abx", 2)
    assert refused(vault, name, proposal, rules(minimum_threshold=3)) == "threshold_below_floor"


def test_n09_a_lower_threshold_is_never_automatic(vault: Lineage, tmp_path: Path) -> None:
    vault.run(vault.reshare("abcx", 3), "ab")
    lowered = vault.reshare("abcx", 2)
    assert vault.judge("a", lowered).automatic is False
    refresh_only = rules(types=["Refresh"], action="auto")
    assert refused(vault, "a", lowered, refresh_only) == "no_rule"
    disguised = vault.refresh()
    disguised = disguised.with_manifest(replace(disguised.manifest, threshold=2))
    assert refused(vault, "a", disguised, refresh_only) == "threshold_changed"


def test_r11_a_refresh_may_be_automatic(vault: Lineage) -> None:
    assert vault.judge("a", vault.refresh(), rules(types=["Refresh"], action="auto")).automatic


def test_r12_a_type_that_the_policy_does_not_allow(vault: Lineage) -> None:
    creators = {type: CREATORS for type in TYPES if type != "Refresh"}
    changed = vault.decide(vault.change_policy(creators=creators), *"ab")
    vault.decrees.append(vault.decree(changed))
    assert changed.new_policy is not None
    vault.policy = changed.new_policy
    assert refused(vault, "a", vault.refresh()) == "type_not_in_policy"


def test_r12_a_robot_where_the_policy_wants_a_member(vault: Lineage) -> None:
    changed = vault.decide(vault.change_policy(creators=dict.fromkeys(TYPES, ("admin",))), *"ab")
    vault.decrees.append(vault.decree(changed))
    assert changed.new_policy is not None
    vault.policy = changed.new_policy
    assert refused(vault, "a", vault.refresh()) == "requester_not_in_policy"
    member = replace(vault.refresh().intent.requester, kind="member")
    assert vault.judge("a", vault.refresh().but(requester=member)).voter


def test_n23_newer_software_is_asked_for(vault: Lineage) -> None:
    for kind in EVERY:
        name, proposal = asked(vault, kind)
        assert refused(vault, name, proposal.but(min_software="99.0.0")) == "software_too_old", kind


@pytest.mark.parametrize("kind", ["KeyGenFromKeyGroup", "Refresh"])
def test_the_protocol_follows_from_the_type(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    assert refused(vault, name, proposal.but(protocol="keygen/1")) == "unknown_protocol"


def test_p08_whoever_has_no_vote_has_no_say(vault: Lineage) -> None:
    """A member of another group, and one who may not deal."""
    assert refused(vault, "d", vault.refresh()) == "not_a_member"
    assert refused(vault, "d", vault.share_to("signing-2", "xy", 2)) == "not_a_member"
    two = vault.share_to("signing-2", "xy", 2).but(eligible=vault.ids("ab"))
    assert refused(vault, "c", two) == "not_a_member"


def test_documents_that_do_not_belong_to_the_type(vault: Lineage, tmp_path: Path) -> None:
    text = vault.policy.encode().decode()
    assert refused(vault, "a", vault.refresh(), new_policy=text) == "unexpected_document"
    other = Lineage(tmp_path / "v", "ab")
    try:
        manifest = other.manifest("g", "ab", 2, "main", 1).encode().decode()
        code = refusal(lambda: other.judge("a", other.key_gen("ab"), source_manifest=manifest))
        assert code == "unexpected_document"
    finally:
        other.close()


def test_r26_a_holder_that_missed_a_set_is_shown_what_is_retired(vault: Lineage) -> None:
    """Node a was away for a refresh; the set that is retired is proved to it."""
    vault.run(vault.refresh(), "ab", unseen="a")
    proposal = vault.recover_into("main-2", "axy", 2)
    without = tuple(each.encode() for each in vault.certificates[:-1])
    assert refused(vault, "a", proposal, certificates=without) == "bad_retires"
    assert vault.judge("a", proposal).voter


def test_r26_a_vault_that_has_a_key_gets_no_other(vault: Lineage) -> None:
    again = vault.key_gen("abc")
    fresh = replace(again.intent.target, group_id="main-2", certificate_hash=b"")
    manifest = replace(again.manifest, group_id="main-2")
    other = again.with_manifest(manifest)
    other = other.but(target=replace(fresh, manifest_hash=manifest.hash()))
    assert refused(vault, "a", other) == "vault_has_key"
    assert other.intent.vault_id == VAULT
