"""Whatever jobs a key goes through, any t shares of a set in use are the key; fewer, or shares of different
sets, are not (tests 38, 41, N17).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import pytest

from mpc.curves import curve_named
from mpc.succession import verify_path
from tests.mpc.ceremony import Ceremony, complete, interpolate_secret, reshare
from tests.mpc.resharing import MAIN

pytestmark = pytest.mark.slow

CURVES = ("secp256k1", "ed25519")


def is_root(ceremony: Ceremony, curve_name: str, shares: Mapping[int, bytes]) -> bool:
    """Do these shares, by index, interpolate to the secret root key? The product never does this."""
    curve = curve_named(curve_name)
    secret = interpolate_secret(curve, shares)
    if not secret:
        return False
    root = ceremony.statement.result(curve_name).root_key
    return curve.base_multiply(curve.encode_int(secret)).encoded == root


def secrets_of(ceremony: Ceremony, indices: tuple[int, ...], curve: str) -> dict[int, bytes]:
    return {index: ceremony.shares[index].secret_share(curve) for index in indices}


def assert_exactly_t_shares_are_the_key(ceremony: Ceremony) -> None:
    threshold, holders = ceremony.context.threshold, sorted(ceremony.shares)
    for curve in CURVES:
        for quorum in combinations(holders, threshold):
            assert is_root(ceremony, curve, secrets_of(ceremony, quorum, curve))
        for quorum in combinations(holders, threshold - 1):
            assert not is_root(ceremony, curve, secrets_of(ceremony, quorum, curve))


def assert_mixtures_are_nothing(old: Ceremony, new: Ceremony) -> int:
    """Every mixture of the two sets that has fewer than t shares of each; how many there were."""
    count = 0
    wanted = max(old.context.threshold, new.context.threshold)
    for from_new in range(1, min(wanted, new.context.threshold)):
        from_old = wanted - from_new
        if from_old >= old.context.threshold:
            continue
        for ours in combinations(sorted(new.shares), from_new):
            rest = [index for index in sorted(old.shares) if index not in ours]
            for theirs in combinations(rest, from_old):
                count += 1
                for curve in CURVES:
                    mixed = secrets_of(new, ours, curve) | secrets_of(old, theirs, curve)
                    assert len(mixed) == wanted
                    assert not is_root(new, curve, mixed)
    return count


@pytest.mark.parametrize(("threshold", "size"), [(2, 2), (2, 3), (3, 4), (3, 5)])
def test_n17_38_an_old_share_completes_no_quorum_of_refreshed_ones(threshold: int, size: int) -> None:
    # The thief has an old backup of one node, and t - 1 shares of the new epoch.
    old = complete(threshold, size)
    new = reshare(old, threshold, range(1, size + 1)).run_until(4)
    assert new.statement.root_extended_public_keys() == old.statement.root_extended_public_keys()
    for curve in CURVES:
        for fresh in combinations(new.shares, threshold - 1):
            for stale in set(old.shares) - set(fresh):
                stolen = secrets_of(old, (stale,), curve)
                assert not is_root(new, curve, secrets_of(new, fresh, curve) | stolen)
                assert is_root(new, curve, secrets_of(new, (*fresh, stale), curve)), "the fresh one does"
    assert assert_mixtures_are_nothing(old, new)


def test_38_sets_of_two_groups_do_not_mix() -> None:
    signing = reshare(MAIN, 2, (4, 5, 6), (1, 2), role="signing").run_until(4)
    recovery = reshare(MAIN, 2, (4, 5, 6), (1, 2), role="recovery").run_until(4)
    for first, second in combinations((MAIN, signing, recovery), 2):
        assert assert_mixtures_are_nothing(first, second)


def test_38_two_attempts_of_one_job_do_not_mix() -> None:
    first, second = (reshare(MAIN, 3, (1, 2, 3, 4), attempt=attempt).run_until(4) for attempt in (1, 2))
    assert assert_mixtures_are_nothing(first, second)


def test_41_a_stale_share_does_not_fit_the_statement_of_the_new_epoch() -> None:
    new = reshare(MAIN, 2, (1, 2, 3)).run_until(4)
    for index, stale in MAIN.shares.items():
        for ours, theirs in zip(new.statement.curves, stale.statement.curves, strict=True):
            assert ours.public_shares[index - 1] != theirs.public_shares[index - 1]


@dataclass
class Key:
    """A key's life: the sets in use by group, those superseded, and every certificate."""

    draw: random.Random
    groups: dict[str, Ceremony] = field(default_factory=dict)
    superseded: list[tuple[str, Ceremony]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def roster(self, size: int) -> list[int]:
        return self.draw.sample(range(1, 10), size)

    def threshold_and_size(self) -> tuple[int, int]:
        size = self.draw.randint(2, 5)
        return self.draw.randint(2, size), size

    def deal(self, source: str, target: str, threshold: int, nodes: list[int]) -> None:
        base = self.groups[source]
        dealers = self.draw.sample(sorted(base.shares), base.context.threshold)
        made = reshare(base, threshold, nodes, dealers, role=target.split()[0]).run_until(4)
        if target in self.groups:
            self.superseded.append((target, self.groups[target]))
        self.groups[target] = made

    def key_gen(self) -> None:
        self.groups["main"] = complete(*self.threshold_and_size())

    def key_gen_from_key_group(self) -> None:
        threshold, size = self.threshold_and_size()
        name = f"{self.draw.choice(('signing', 'recovery'))} {len(self.groups)}"
        self.deal("main", name, threshold, self.roster(size))

    def recovery(self) -> None:
        """Another group deals Main anew, with one of its members replaced."""
        if set(self.groups) == {"main"}:
            self.key_gen_from_key_group()
        source = self.draw.choice([name for name in self.groups if name != "main"])
        nodes = self.nodes("main")
        spare = self.draw.choice([node for node in range(1, 10) if node not in nodes])
        nodes[self.draw.randrange(len(nodes))] = spare
        self.deal(source, "main", self.groups["main"].context.threshold, nodes)

    def refresh(self) -> None:
        name = self.draw.choice(list(self.groups))
        self.deal(name, name, self.groups[name].context.threshold, self.nodes(name))

    def change_of_members_or_threshold(self) -> None:
        name = self.draw.choice(list(self.groups))
        threshold, size = self.threshold_and_size()
        self.deal(name, name, threshold, self.roster(size))

    def nodes(self, name: str) -> list[int]:
        context = self.groups[name].context
        members = context.participants[: context.receivers]
        return [int(member.node_id.removeprefix("node")) for member in members]

    def live(self) -> None:
        """Every job at least once, in random order, and two more."""
        self.key_gen()
        jobs = [
            self.key_gen_from_key_group,
            self.recovery,
            self.refresh,
            self.change_of_members_or_threshold,
        ]
        jobs += self.draw.choices(jobs, k=2)
        self.draw.shuffle(jobs)
        for job in jobs:
            self.jobs.append(job.__name__)
            job()


SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_sequence_of_jobs_any_t_shares_of_a_set_in_use_are_the_key(seed: int) -> None:
    key = Key(random.Random(seed))
    key.live()
    everything = [*key.groups.values(), *(old for _, old in key.superseded)]
    roots = {tuple(each.statement.root_extended_public_keys().values()) for each in everything}
    assert len(roots) == 1, key.jobs
    for ceremony in key.groups.values():
        assert_exactly_t_shares_are_the_key(ceremony)
    for name, old in key.superseded:
        assert_mixtures_are_nothing(old, key.groups[name])
    for first, second in combinations(key.groups.values(), 2):
        assert_mixtures_are_nothing(first, second)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_after_any_sequence_of_jobs_every_set_has_a_path_to_the_key_gen(seed: int) -> None:
    key = Key(random.Random(seed))
    key.live()
    certificates = [each.certificate for each in (*key.groups.values(), *(old for _, old in key.superseded))]
    (anchor,) = [each for each in certificates if not each.statement.context.dealers]
    offered = {certificate.hash(): certificate for certificate in certificates}
    for tip in offered:
        assert verify_path(offered, tip, {anchor.hash()})[-1] == anchor
