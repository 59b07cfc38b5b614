"""Before its first message a node counts the votes itself and checks who deals (P03, P08, P10, P15, 47; R13,
R21, R30)."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from signers.requests import PEER, RULE
from signers.shares import Quarantine
from tests.signers.lineage import MAIN, SIGNING, SPARE, Lineage, Proposal, refusal
from wire.approval import APPROVE, REJECT, WITHDRAW, Approval

pytestmark = pytest.mark.slow


def approved(vault: Lineage) -> Proposal:
    """A Recovery of c's place for x, approved by two Recovery holders and everybody who will receive."""
    return vault.decide(vault.recover({"c": "x"}), *"fgabx")


def without(vault: Lineage, proposal: Proposal, name: str) -> Proposal:
    kept = tuple(each for each in proposal.decisions if each.node_id != vault.id(name))
    return replace(proposal, decisions=kept)


def test_an_approved_request_starts_at_every_participant(vault: Lineage) -> None:
    for name in "fgabx":
        assert vault.start(name, approved(vault), "fg").voter


# approvals


@pytest.mark.parametrize("name", ["f", "b", "x"])
def test_p10_every_vote_must_be_won(vault: Lineage, name: str) -> None:
    proposal = without(vault, approved(vault), name)
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "missing_approval"


def test_p10_any_t_source_holders_are_enough(vault: Lineage) -> None:
    other = vault.decide(vault.recover({"c": "x"}), *"ghabx")
    assert vault.start("a", other, "gh").voter


def test_p10_a_forged_approval_of_a_source_holder(vault: Lineage) -> None:
    proposal = without(vault, approved(vault), "f")
    forged = Approval.sign(
        vault.members["y"].identity.sign,
        digest=proposal.intent.digest(),
        decision=APPROVE,
        node_id=vault.id("f"),
        time=proposal.intent.not_before,
    )
    proposal = replace(proposal, decisions=(*proposal.decisions, forged))
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "forged_approval"


def test_p10_an_approval_of_the_request_before(vault: Lineage) -> None:
    earlier = vault.decide(vault.recover({"c": "x"}), "f").decisions
    proposal = without(vault, approved(vault), "f")
    proposal = replace(proposal, decisions=(*proposal.decisions, *earlier))
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "approval_of_other_request"


def test_p08_an_approval_of_somebody_without_a_vote(vault: Lineage) -> None:
    for name in "dy":
        judge = partial(vault.start, "a", vault.decide(approved(vault), name), "fg")
        assert refusal(judge) == "unknown_approver"


def test_p08_a_former_member_has_no_vote(vault: Lineage) -> None:
    vault.run(vault.recover({"c": "x"}), "fg")
    proposal = vault.decide(vault.refresh(), *"abxc")
    assert refusal(lambda: vault.start("a", proposal, "ab")) == "unknown_approver"


def test_p08_a_replaced_node_has_no_vote_where_it_still_holds_a_share(vault: Lineage) -> None:
    """Node d, in both groups, was replaced in Main: its old share of the signing group decides nothing."""
    vault.run(vault.reshare("abd", 2), "ab")
    vault.run(vault.recover({"d": "x"}), "fg")
    vault.members["e"].store.anchors.revoke("vault-1", vault.id("d"))
    proposal = vault.decide(vault.reshare("ey", 2, SIGNING, replaces={"d": "y"}), *"dey")
    assert refusal(lambda: vault.start("e", proposal, "de")) == "missing_approval"


def test_p03_one_holder_is_one_vote(vault: Lineage) -> None:
    """Approving twice, and once for each of two groups."""
    twice = vault.decide(without(vault, approved(vault), "g"), "f")
    assert refusal(lambda: vault.start("a", twice, "fg")) == "missing_approval"


def test_p03_a_holder_of_both_groups_votes_once_in_each(vault: Lineage) -> None:
    proposal = vault.decide(vault.share_to("signing-2", "ax", 2), *"ax")
    assert refusal(lambda: vault.start("x", proposal, "ab")) == "missing_approval"
    proposal = vault.decide(proposal, "b")
    assert vault.start("x", proposal, "ab").voter


@pytest.mark.parametrize("offset", [-60_000, 48 * 3600 * 1000])
def test_p10_an_approval_outside_the_requests_life(vault: Lineage, offset: int) -> None:
    proposal = without(vault, approved(vault), "f")
    dated = Approval.sign(
        vault.members["f"].identity.sign,
        digest=proposal.intent.digest(),
        decision=APPROVE,
        node_id=vault.id("f"),
        time=proposal.intent.not_before + offset,
    )
    proposal = replace(proposal, decisions=(*proposal.decisions, dated))
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "approval_out_of_time"


# rejections and withdrawals


def test_r13_a_source_holders_rejection_binds(vault: Lineage) -> None:
    rejected = vault.decide(approved(vault), "h", decision=REJECT)
    assert refusal(lambda: vault.start("a", rejected, "fg")) == "rejected"
    # It is remembered, whatever the coordinator shows later.
    intent_of_it = replace(rejected, decisions=rejected.decisions[:-1])
    assert refusal(lambda: vault.start("a", intent_of_it, "fg")) == "rejected"


def test_p15_a_withdrawn_approval_does_not_count(vault: Lineage) -> None:
    proposal = approved(vault)
    withdrawn = vault.decide(without(vault, proposal, "f"), "f", decision=WITHDRAW)
    assert refusal(lambda: vault.start("a", withdrawn, "fg")) == "missing_approval"
    # Nor does showing the old approval again bring it back.
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "missing_approval"
    # Others can take its place in a t-of-n vote.
    third = vault.decide(proposal, "h")
    assert refusal(lambda: vault.start("a", third, "fg")) == "bad_dealers"
    assert vault.start("a", third, "gh").voter


def test_p15_a_withdrawn_consent_cannot_be_replaced(vault: Lineage) -> None:
    proposal = vault.decide(approved(vault), "b", decision=WITHDRAW)
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "missing_approval"


def test_p15_the_own_withdrawal_binds_for_ever(vault: Lineage) -> None:
    proposal = approved(vault)
    withdrawn = vault.decide(without(vault, proposal, "a"), "a", decision=WITHDRAW)
    assert refusal(lambda: vault.start("a", withdrawn, "fg")) == "withdrawn"
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "withdrawn"


def test_r13_a_withdrawal_that_comes_up_in_round_0_is_news(vault: Lineage) -> None:
    proposal = approved(vault)
    checks, digest = vault.members["a"].checks, proposal.intent.digest()
    rosters = proposal.manifest, proposal.source_manifest
    news = vault.decide(proposal, "g", decision=WITHDRAW).decisions
    assert checks.keep_rejections(*rosters, digest, proposal.decisions) is False
    assert checks.keep_rejections(*rosters, digest, news) is True
    assert checks.keep_rejections(*rosters, digest, news) is False
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "missing_approval"


def test_r13_decisions_only_grow_stronger(vault: Lineage) -> None:
    proposal = vault.recover({"c": "x"})
    requests = vault.members["a"].store.requests
    approve, withdraw, reject = (
        vault.decide(proposal, "f", decision=decision).decisions[0]
        for decision in (APPROVE, WITHDRAW, REJECT)
    )
    assert requests.add_decision(approve, PEER)
    assert requests.add_decision(withdraw, PEER)
    assert not requests.add_decision(approve, PEER)
    assert requests.add_decision(reject, PEER)
    assert not requests.add_decision(withdraw, PEER)
    assert requests.decisions(proposal.intent.digest().hex()) == [reject]


# dealers


@pytest.mark.parametrize(
    "dealers",
    ["", "f", "fgh", "ff", "fh", "ab", "fx"],
    ids=["none", "too few", "too many", "twice", "not approved", "of another group", "a receiver"],
)
def test_r21_exactly_t_eligible_holders_who_approved_deal(vault: Lineage, dealers: str) -> None:
    assert refusal(lambda: vault.start("a", approved(vault), dealers)) == "bad_dealers"


def test_r21_a_holder_that_is_not_eligible_does_not_deal(vault: Lineage) -> None:
    proposal = vault.recover({"c": "x"}).but(eligible=vault.ids("fg"))
    proposal = vault.decide(proposal, *"fghabx")
    assert refusal(lambda: vault.start("a", proposal, "gh")) == "bad_dealers"


def test_37_the_dealers_of_a_refresh_are_members(vault: Lineage) -> None:
    proposal = vault.decide(vault.refresh(), *"abc")
    assert vault.start("c", proposal, "ab").voter
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "bad_dealers"


def test_nobody_deals_in_a_key_gen(tmp_path: Path) -> None:
    other = Lineage(tmp_path / "other", "abc")
    try:
        proposal = other.decide(other.key_gen("abc"), *"abc")
        assert refusal(lambda: other.start("a", proposal, "ab")) == "bad_dealers"
        assert other.start("a", proposal).voter
    finally:
        other.close()


def test_a_decree_runs_no_ceremony(vault: Lineage) -> None:
    proposal = vault.decide(vault.change_policy(required_approvals=3), *"ab")
    assert refusal(lambda: vault.start("a", proposal, "ab")) == "no_ceremony"


def test_who_neither_deals_nor_receives_stays_out(vault: Lineage) -> None:
    proposal = vault.decide(approved(vault), "h")
    assert refusal(lambda: vault.start("h", proposal, "fg")) == "not_a_participant"


def test_r13_a_node_that_was_only_told_takes_no_part(vault: Lineage) -> None:
    proposal = vault.decide(approved(vault), "c")
    assert refusal(lambda: vault.start("c", proposal, "fg")) == "not_approved_here"


def test_47_a_set_superseded_between_approval_and_start(vault: Lineage) -> None:
    proposal = approved(vault)
    vault.run(vault.refresh(SPARE), "fg")
    assert refusal(lambda: vault.start("f", proposal, "fg")) == "source_superseded"
    vault.run(vault.refresh(MAIN), "ab")
    assert refusal(lambda: vault.start("a", proposal, "fg")) == "target_superseded"


def test_12_a_start_with_other_documents(vault: Lineage) -> None:
    proposal = approved(vault)
    lowered = replace(proposal.manifest, threshold=3).encode().decode()
    assert refusal(lambda: vault.start("a", proposal, "fg", manifest=lowered)) == "manifest_hash_mismatch"
    other = vault.sets[SIGNING].manifest.encode().decode()
    assert refusal(lambda: vault.start("a", proposal, "fg", source_manifest=other)) == (
        "manifest_hash_mismatch"
    )


# R30


def quarantined(vault: Lineage, name: str) -> None:
    missing = Quarantine("vault-1", "main", 2, "rolled_back", "ask for a Refresh", 1)
    vault.members[name].store.shares.set_quarantine(missing)


def test_r30_a_quarantined_node_deals_no_more(vault: Lineage) -> None:
    quarantined(vault, "a")
    refresh = vault.decide(vault.refresh(), *"abc")
    assert refusal(lambda: vault.start("a", refresh, "ab")) == "quarantined"
    # In which it only receives, a person may let it take part.
    assert vault.start("a", refresh, "bc").voter


def test_r30_a_quarantined_node_has_no_say_where_it_only_deals(vault: Lineage) -> None:
    quarantined(vault, "a")
    assert refusal(lambda: vault.judge("a", vault.share_to("signing-2", "xy", 2))) == "quarantined"


def test_r30_a_rule_alone_does_not_let_a_quarantined_node_take_part(vault: Lineage) -> None:
    refresh = vault.decide(vault.refresh(), *"abc")
    approval = next(each for each in refresh.decisions if each.node_id == vault.id("a"))
    vault.members["a"].store.requests.add_decision(approval, RULE)
    quarantined(vault, "a")
    assert refusal(lambda: vault.start("a", refresh, "bc")) == "quarantined"
