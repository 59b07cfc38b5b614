"""Who must approve what: one count for coordinator and nodes (R9, R12, R16, R21)."""

import pytest

from tests.wire.builders import intent, node_ids, policy, rosters
from wire.electorate import SOURCE, TARGET, Vote, voters, votes
from wire.intent import TYPES
from wire.manifest import Manifest
from wire.policy import VaultPolicy

MAIN = node_ids("alice", "bob", "carol")
SIGNING = node_ids("dave", "erin")
RECOVERY = node_ids("frank", "grace", "heidi")


def votes_of(type: str, rules: VaultPolicy | None = None) -> tuple[Vote, ...]:
    target, _ = rosters(type)
    return votes(intent(type), target, rules or policy())


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("KeyGen", (Vote(TARGET, MAIN, 3),)),
        ("KeyGenFromKeyGroup", (Vote(SOURCE, MAIN, 2), Vote(TARGET, SIGNING, 2))),
        ("Recovery", (Vote(SOURCE, RECOVERY, 2), Vote(TARGET, node_ids("alice", "bob", "ivan"), 3))),
        ("Refresh", (Vote(TARGET, MAIN, 3),)),
        (
            "Reshare",
            (Vote(SOURCE, MAIN, 2), Vote(TARGET, node_ids("alice", "bob", "judy", "mallory"), 4)),
        ),
        ("RoleChange", (Vote(SOURCE, MAIN, 2), Vote(TARGET, SIGNING, 2))),
        ("PolicyChange", (Vote(SOURCE, MAIN, 2),)),
    ],
)
def test_who_votes(type: str, expected: tuple[Vote, ...]) -> None:
    assert votes_of(type) == expected


@pytest.mark.parametrize("type", TYPES)
def test_r12_a_policy_asks_for_more_source_holders_and_never_for_fewer(type: str) -> None:
    for vote in votes_of(type, policy(required_approvals=3)):
        assert vote.needed == (3 if vote.side == SOURCE else len(vote.node_ids))
    big: Manifest
    big, _ = rosters("Reshare")
    source = intent("Reshare", source=intent("Reshare").target).source
    assert source is not None
    # The source set's own threshold is 3 here, the policy asks for 2.
    demanding = intent("Reshare", source=source, eligible=big.node_ids)
    assert votes(demanding, big, policy())[0].needed == 3


def test_r16_a_promotion_needs_only_enough_holders_of_the_promoted_group() -> None:
    target, _ = rosters("Reshare")
    _, promoted = votes(intent("RoleChange"), target, policy())
    assert (promoted.needed, promoted.unanimous) == (3, False)
    assert promoted.won(target.node_ids[1:])
    assert not promoted.won(target.node_ids[2:])


def test_r21_only_eligible_source_holders_count() -> None:
    target, _ = rosters("KeyGenFromKeyGroup")
    named = intent("KeyGenFromKeyGroup", eligible=MAIN[:2])
    source, _ = votes(named, target, policy())
    assert source.unanimous
    assert not source.won({MAIN[0], MAIN[2]})
    assert source.won({MAIN[0], MAIN[1]})


def test_p03_a_vote_counts_once_a_holder() -> None:
    (vote,) = votes_of("PolicyChange")
    assert vote.counted([MAIN[0], MAIN[0], "stranger"]) == (MAIN[0],)
    assert not vote.won([MAIN[0], MAIN[0], "stranger"])


def test_everybody_who_votes_is_asked_once_source_holders_first() -> None:
    alice, bob, carol = MAIN
    assert voters(votes_of("Reshare")) == (alice, bob, carol, *node_ids("judy", "mallory"))
