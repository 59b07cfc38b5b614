"""What the operator reads before deciding: every type in words (R10, R12, R16, R28, R29)."""

import pytest

from signers.describe import describe
from tests.signers.lineage import MAIN, SIGNING, SPARE, Lineage, Proposal
from tests.signers.test_change_refusals import EVERY, asked


def words(vault: Lineage, proposal: Proposal, name: str = "a") -> str:
    member = vault.members[name]
    pins = {each.node_id: each for each in member.store.pins.all()}
    return describe(vault.documents(proposal), pins, member.node_id)


@pytest.mark.parametrize("kind", EVERY)
def test_every_type_names_what_is_decided_and_by_whom(vault: Lineage, kind: str) -> None:
    name, proposal = asked(vault, kind)
    text = words(vault, proposal, name)
    intent = proposal.intent
    assert text.startswith(f"{intent.type}: ")
    for shown in (intent.request_id, intent.digest().hex(), intent.target.group_id, *intent.eligible):
        assert shown in text
    assert "Must approve:" in text
    assert len(text.split("words        ")[1].splitlines()[0].split()) == 12
    assert ("Deal: 2 of" in text) == intent.runs_ceremony
    assert all(card.node_id in text for card in proposal.manifest.holders)
    assert "NOT PINNED" not in text


def test_a_lowered_threshold_is_shouted(vault: Lineage) -> None:
    vault.run(vault.reshare("abcx", 3), "ab")
    text = words(vault, vault.reshare("abcx", 2))
    assert "Holders needed: 3 of 4 -> 2 of 4." in text
    assert "WARNING: FEWER HOLDERS ARE NEEDED: 2 INSTEAD OF 3." in text
    assert "WARNING" not in words(vault, vault.reshare("abcx", 4))


def test_members_that_come_and_go(vault: Lineage) -> None:
    text = words(vault, vault.reshare("axy", 2, replaces={"b": "x"}))
    replaced, rest = text.split("Replaced for ever:")[1].split("Removed:")
    assert [line.split()[:2] for line in replaced.strip().splitlines()] == [
        ["-", vault.id("b")],
        ["+", vault.id("x")],
    ]
    removed, added = rest.split("Any 2 of its 3")[0].split("Added:")
    assert removed.split()[1] == vault.id("c")
    assert added.split()[1] == vault.id("y")


def test_r28_when_old_shares_become_worthless(vault: Lineage) -> None:
    enough = "An old share becomes worthless only when 2 of the 3 old holders have erased theirs."
    for proposal in (vault.refresh(), vault.reshare("abxy", 3), vault.recover({"c": "x"})):
        text = words(vault, proposal)
        assert enough in text
        assert f"Retired: the shares of group {MAIN} up to epoch 1" in text
    assert "n - t + 1 of the old holders" in words(vault, vault.recover_into("main-2", "axy", 2), "x")
    for proposal in (vault.share_to("signing-2", "xy", 2), vault.change_role(SIGNING)):
        assert "Retired" not in words(vault, proposal)


def test_r29_what_is_needed_afterwards(vault: Lineage) -> None:
    text = words(vault, vault.share_to("recovery-2", "abc", 2, "recovery").but(overlap_accepted=True))
    assert "Operators needed after this, over all groups: 2." in text
    assert "NOTE: the Recovery holders are nearly those of Main" in text


def test_r12_a_policy_change_shows_the_difference(vault: Lineage) -> None:
    text = words(vault, vault.change_policy(required_approvals=3, shared_nodes=False))
    assert "required_approvals: 2 -> 3" in text
    assert "shared_nodes: True -> False" in text
    assert "erase_grace" not in text


def test_r16_a_role_change_says_what_becomes_of_the_old_main_group(vault: Lineage) -> None:
    proposal = vault.change_role(SIGNING, source=SPARE)
    assert f"group {SIGNING} becomes the Main group; the old one is retired" in words(vault, proposal)
    kept = proposal.but(original_main="signing")
    assert "the old one becomes a signing group" in words(vault, kept)


def test_r10_text_of_others_is_plain(vault: Lineage) -> None:
    text = words(vault, vault.refresh().but(description="\x1b[2J\u202enothing"))
    assert all(line.isprintable() for line in text.splitlines())


def test_an_unpinned_holder_is_marked(vault: Lineage) -> None:
    vault.members["a"].store.pins.remove(vault.id("b"))
    assert "NOT PINNED" in words(vault, vault.refresh())
