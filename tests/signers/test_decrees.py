"""A changed policy or Main group, believed by the holders' signatures alone (R12, R16, R26)."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from signers.requests import OPERATOR
from tests.accounts.authenticator import Authenticator
from tests.signers.lineage import MAIN, RULES, SIGNING, SPARE, Lineage, Proposal, now_ms, refusal
from wire.approval import REJECT, WITHDRAW

pytestmark = pytest.mark.slow


def decreed(vault: Lineage, proposal: Proposal) -> None:
    """The request succeeded; later ones show it."""
    vault.decrees.append(vault.decree(proposal))
    if proposal.new_policy is not None:
        vault.policy = proposal.new_policy


def test_r12_a_changed_policy_governs_later_requests(vault: Lineage) -> None:
    old = vault.refresh()
    decreed(vault, vault.decide(vault.change_policy(required_approvals=3), *"ab"))
    # A holder of another group learns of it from the documents of its next request.
    assert vault.judge("x", vault.share_to("signing-2", "xy", 2)).policy.required_approvals == 3
    assert vault.anchor("x").policy_hash == vault.policy.hash()
    assert vault.judge("a", vault.refresh()).voter
    assert refusal(lambda: vault.judge("a", old)) == "unknown_policy"


def test_r12_policies_follow_one_another_in_order(vault: Lineage) -> None:
    for lifetime in (3_600_000, 7_200_000, 2 * 3_600_000 + 1):
        decreed(vault, vault.decide(vault.change_policy(request_lifetime=lifetime), *"ab"))
    refresh = vault.refresh()
    shown = tuple(reversed(vault.decrees))
    assert refusal(lambda: vault.judge("a", refresh, decrees=shown)) == "unknown_policy"
    assert vault.judge("b", refresh).voter


def test_r12_an_unknown_policy_is_refused(vault: Lineage) -> None:
    changed = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    decreed(vault, changed)
    assert refusal(lambda: vault.judge("a", vault.refresh(), decrees=())) == "unknown_policy"


@pytest.mark.parametrize(
    ("names", "why"),
    [("a", "one approval"), ("ax", "a stranger's"), ("de", "another group's"), ("", "none")],
)
def test_r12_a_policy_that_main_has_not_approved(vault: Lineage, names: str, why: str) -> None:
    decreed(vault, vault.decide(vault.change_policy(required_approvals=3), *names))
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree", why
    assert vault.anchor("a").policy_hash != vault.policy.hash()


def test_r12_a_rejection_approves_nothing(vault: Lineage) -> None:
    proposal = vault.change_policy(required_approvals=3)
    decreed(vault, vault.decide(vault.decide(proposal, "a"), "b", decision=REJECT))
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"


def test_r12_approvals_of_another_change(vault: Lineage) -> None:
    approved = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    other = replace(vault.change_policy(required_approvals=4), decisions=approved.decisions)
    decreed(vault, other)
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"


def test_r12_approvals_after_the_expiry(vault: Lineage) -> None:
    proposal = vault.change_policy(required_approvals=3)
    short = proposal.but(expires=proposal.intent.not_before + 500)
    decreed(vault, vault.decide(short, *"ab"))
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"


def test_r12_a_new_policy_names_the_one_before(vault: Lineage) -> None:
    proposal = vault.change_policy(required_approvals=3)
    assert proposal.new_policy is not None
    orphan = replace(proposal.new_policy, predecessor=b"")
    proposal = replace(proposal, new_policy=orphan).but(new_policy_hash=orphan.hash())
    assert refusal(lambda: vault.judge("a", proposal)) == "policy_not_successor"
    foreign = replace(proposal.new_policy or orphan, vault_id="vault-2")
    proposal = replace(proposal, new_policy=foreign).but(new_policy_hash=foreign.hash())
    assert refusal(lambda: vault.judge("a", proposal)) == "policy_vault_mismatch"


@pytest.mark.parametrize("field", ["intent", "manifest", "source_manifest", "policy", "new_policy"])
def test_r12_a_decree_with_a_text_that_is_not_its_own(vault: Lineage, field: str) -> None:
    decreed(vault, vault.decide(vault.change_policy(required_approvals=3), *"ab"))
    text: dict[str, Any] = {field: "{}"}
    damaged = replace(vault.decrees[0], **text)
    assert refusal(lambda: vault.judge("a", vault.refresh(), decrees=(damaged,))) == "bad_decree"


# roles


def promoted(vault: Lineage) -> None:
    decreed(vault, vault.decide(vault.change_role(SIGNING), *"abde"))


def test_r16_the_promoted_group_is_main(vault: Lineage) -> None:
    promoted(vault)
    before = vault.share_to("signing-2", "xy", 2)
    assert refusal(lambda: vault.judge("x", before)) == "source_not_main"
    assert vault.anchor("x").main_group_id == SIGNING
    held = vault.sets[SIGNING]
    now = replace(before, source_manifest=held.manifest).but(
        source=held.reference(), eligible=held.manifest.node_ids
    )
    assert vault.judge("x", now).voter
    assert vault.judge("d", now).voter


def test_r16_both_groups_approve(vault: Lineage) -> None:
    for names in ("ab", "de", "ade", "abd"):
        vault.decrees = [vault.decree(vault.decide(vault.change_role(SIGNING), *names))]
        assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree", names
    assert vault.anchor("a").main_group_id == MAIN


def test_r16_a_lost_main_group_is_replaced_by_the_recovery_group(vault: Lineage) -> None:
    decreed(vault, vault.decide(vault.change_role(SIGNING, source=SPARE), *"fgde"))
    assert vault.judge("d", vault.refresh(SIGNING)).voter
    assert vault.anchor("d").main_group_id == SIGNING


def test_r16_the_next_set_may_carry_the_new_role(vault: Lineage) -> None:
    promoted(vault)
    refresh = vault.refresh(SIGNING)
    assert vault.judge("d", refresh).voter
    as_main = refresh.with_manifest(replace(refresh.manifest, role="main"))
    assert vault.judge("d", as_main).voter
    old = vault.refresh(MAIN)
    assert vault.judge("a", old.with_manifest(replace(old.manifest, role="signing"))).voter


def test_r16_each_decree_counts_once(vault: Lineage) -> None:
    """Signing becomes Main and Main becomes Main again; the first decree alone does not come back."""
    promoted(vault)
    back = vault.change_role(MAIN, source=SIGNING)
    decreed(vault, vault.decide(back, *"deab"))
    assert vault.judge("a", vault.refresh()).voter
    assert vault.anchor("a").main_group_id == MAIN
    assert vault.judge("a", vault.refresh(), decrees=tuple(vault.decrees[:1])).voter
    assert vault.anchor("a").main_group_id == MAIN


def test_r26_a_recovery_into_another_group_makes_it_main(vault: Lineage) -> None:
    recovery = vault.recover_into("main-2", "abx", 2)
    made = vault.run(recovery, "fg")
    assert vault.anchor("x").main_group_id == "main-2" == vault.anchor("f").main_group_id
    # Node d had no part in it.
    vault.decrees.append(vault.decree(recovery, made.certificate.encode()))
    refresh = vault.refresh(SIGNING)
    vault.judge("d", refresh)
    assert vault.anchor("d").main_group_id == "main-2"
    # An old Main holder that was not recovered learns of it in the same way.
    old = vault.share_to("signing-2", "cy", 2)
    assert refusal(lambda: vault.judge("c", old)) == "source_retired"
    assert vault.anchor("c").main_group_id == "main-2"


def test_r26_a_recovery_without_its_certificate_changes_nothing(vault: Lineage) -> None:
    recovery = vault.recover_into("main-2", "abx", 2)
    made = vault.run(recovery, "fg")
    others = (b"", vault.sets[SPARE].certificate.encode(), made.certificate.encode()[:-1])
    for certificate in others:
        vault.decrees = [vault.decree(recovery, certificate)]
        assert refusal(lambda: vault.judge("d", vault.refresh(SIGNING))) == "bad_decree"
    assert vault.anchor("d").main_group_id == MAIN


def test_a_pinned_anchor_may_be_newer_than_the_decrees(vault: Lineage) -> None:
    decreed(vault, vault.decide(vault.change_policy(request_lifetime=3_600_000), *"ab"))
    promoted(vault)
    vault.judge("d", vault.refresh(SIGNING))
    vault.members["y"].store.database.execute("DELETE FROM anchors")
    vault.give_anchor("d", "y")
    held = vault.sets[SIGNING]
    proposal = replace(vault.share_to("signing-2", "xy", 2), source_manifest=held.manifest).but(
        source=held.reference(), eligible=held.manifest.node_ids
    )
    assert vault.judge("y", proposal, RULES).voter
    assert vault.anchor("y").main_group_id == SIGNING


def test_r16_a_decree_of_another_vault(vault: Lineage) -> None:
    proposal = vault.decide(vault.change_policy(required_approvals=3), *"ab").but(vault_id="vault-2")
    decreed(vault, proposal)
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"


# what a hostile coordinator makes of old signatures


def test_r13_a_vote_that_was_taken_back_does_not_count(vault: Lineage) -> None:
    """Node a approved, then withdrew; the coordinator shows the approval all the same."""
    proposal = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    decreed(vault, proposal)
    withdrawn = vault.decide(proposal, "a", decision=WITHDRAW).decisions[-1]
    vault.members["a"].store.requests.add_decision(withdrawn, OPERATOR)
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"
    assert vault.anchor("a").policy_hash != vault.policy.hash()


def test_r13_a_vote_that_a_passkey_took_back_does_not_count(vault: Lineage) -> None:
    """Node a knows that b's holder withdrew by passkey; the coordinator shows the approval all the same."""
    proposal = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    decreed(vault, proposal)
    withdrawn = Authenticator().vote(
        digest=proposal.intent.digest(), decision=WITHDRAW, node_id=vault.id("b"), time=now_ms()
    )
    vault.members["a"].store.passkeys.keep(withdrawn)
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"
    assert vault.anchor("a").policy_hash != vault.policy.hash()


@pytest.mark.parametrize("source", [MAIN, SPARE])
def test_r16_the_promoted_group_does_not_vote_for_main(vault: Lineage, source: str) -> None:
    """Holders of the promoted group, named as eligible, are no holders of the group that decides."""
    proposal = vault.change_role(SIGNING, source=source).but(eligible=vault.ids("de"))
    decreed(vault, vault.decide(proposal, *"de"))
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "bad_decree"
    assert vault.anchor("a").main_group_id == MAIN


def test_r12_former_holders_decide_nothing(vault: Lineage) -> None:
    """Nodes b and c were replaced and hold nothing; together they were enough once."""
    former = vault.change_policy(required_approvals=2, erase_grace=0)
    vault.run(vault.reshare("axy", 2, replaces={"b": "x", "c": "y"}), "ab")
    assert former.new_policy is not None
    vault.decrees = [vault.decree(vault.decide(former, *"bc"))]
    for name in "ax":
        assert refusal(partial(vault.judge, name, vault.refresh())) == "bad_decree"
        assert vault.anchor(name).policy_hash == vault.policy.hash()


def test_r16_an_old_change_of_main_does_not_come_back(vault: Lineage) -> None:
    """Signing becomes Main, then Main is Main again. Nodes y and x pin what holds after the one and the
    other, and are shown everything, or the first alone, again and again."""
    promoted(vault)
    vault.judge("d", vault.refresh(SIGNING))
    pinned_by(vault, "d", "y")
    decreed(vault, vault.decide(vault.change_role(MAIN, source=SIGNING), *"deab"))
    vault.judge("a", vault.refresh())
    pinned_by(vault, "a", "x")
    for _ in range(2):
        assert vault.judge("y", vault.share_to("signing-2", "xy", 2)).voter
        assert vault.anchor("y").main_group_id == MAIN
    assert vault.judge("x", vault.share_to("signing-2", "xy", 2), decrees=tuple(vault.decrees[:1])).voter
    assert vault.anchor("x").main_group_id == MAIN


def pinned_by(vault: Lineage, giver: str, name: str) -> None:
    """Node `name` is new: all that it knows is the anchor that `giver` exports."""
    vault.members[name].store.database.execute("DELETE FROM anchors")
    vault.give_anchor(giver, name)


def test_r28_nothing_is_made_from_a_set_that_was_retired(vault: Lineage) -> None:
    """Node c was lost and the key recovered into another group. While the old shares wait to be erased, a
    Refresh of the old group, which a rule may approve, would give c a share that nothing retires."""
    recovery = vault.recover_into("main-2", "abx", 2)
    made = vault.run(recovery, "fg")
    refresh = vault.refresh(MAIN)
    refresh = refresh.with_manifest(replace(refresh.manifest, role="signing"))
    assert refusal(lambda: vault.judge("a", refresh)) == "source_retired"
    back = vault.change_role(MAIN, source=SPARE)
    assert refusal(lambda: vault.judge("f", back)) == "target_retired"
    # Node c had no part in it, and learns of it from a later request.
    vault.decrees.append(vault.decree(recovery, made.certificate.encode()))
    assert refusal(lambda: vault.judge("c", refresh)) == "source_retired"
