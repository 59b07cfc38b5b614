"""Who can act if some holders are gone: computed from the rosters of a vault's groups."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import comb

from vaults.models import Group, GroupType

# Beyond this many states the exact table would take too long for a page.
_MAX_STATES = 50_000


@dataclass(frozen=True)
class Left:
    """A group without those who are gone. able: enough holders are left; spare: how many more it can lose."""

    group: Group
    left: tuple[str, ...]

    @property
    def able(self) -> bool:
        return len(self.left) >= self.group.threshold

    @property
    def spare(self) -> int:
        return len(self.left) - self.group.threshold


@dataclass(frozen=True)
class Outlook:
    """can_sign: Main or a Signing group is able; can_recover: Main, by a Reshare, or a Recovery group can
    give new holders shares. Neither: the key is lost unless holders come back."""

    groups: tuple[Left, ...]
    can_sign: bool
    can_recover: bool

    @property
    def verdict(self) -> str:
        return verdict(self.can_sign, self.can_recover)


def verdict(can_sign: bool, can_recover: bool) -> str:
    if can_sign:
        return "safe" if can_recover else "stuck"
    return "recoverable" if can_recover else "lost"


def outlook(groups: Sequence[Group], gone: Collection[str]) -> Outlook:
    """What is left when the nodes of `gone` are. Reads `holders`."""
    left = tuple(
        Left(group, tuple(each.node_id for each in group.holders.all() if each.node_id not in gone))
        for group in groups
    )
    able = {each.group.type for each in left if each.able}
    return Outlook(left, *_able(able))


@dataclass(frozen=True)
class Survival:
    """lost: how many holders are gone; of all ways to choose them, how many end in each verdict."""

    lost: int
    ways: int
    safe: int
    recoverable: int
    stuck: int
    gone: int

    def percent(self, ways: int) -> int:
        """Rounded so that only nothing shows as 0 and only all as 100."""
        if ways in (0, self.ways):
            return 100 * (ways == self.ways)
        return min(99, max(1, round(100 * ways / self.ways)))

    @property
    def cells(self) -> tuple[tuple[str, int, int], ...]:
        """(verdict, percent of the ways, the same in tenths for the colour)."""
        counts = {"safe": self.safe, "recoverable": self.recoverable, "stuck": self.stuck, "lost": self.gone}
        percents = {name: self.percent(ways) for name, ways in counts.items()}
        return tuple((name, percent, -(-percent // 10)) for name, percent in percents.items())


def table(groups: Sequence[Group]) -> list[Survival] | None:
    """For each number of lost holders, up to the one at which the key is lost whoever they are, how the
    vault stands; None where there are too many combinations of groups to count. Reads `holders`.

    Exact: every choice of nodes is counted once, but choices that leave the groups with equal losses are
    counted together.
    """
    fatal = [group.participants - group.threshold + 1 for group in groups]
    members = [{each.node_id for each in group.holders.all()} for group in groups]
    nodes = sorted(set().union(*members)) if members else []
    # (how many are lost, losses of each group, capped where it makes no more difference) -> number of choices
    states: dict[tuple[int, tuple[int, ...]], int] = {(0, (0,) * len(groups)): 1}
    for node in nodes:
        hit = [node in group for group in members]
        grown = dict(states)
        for (lost, losses), ways in states.items():
            after = tuple(min(n + h, cap) for n, h, cap in zip(losses, hit, fatal, strict=True))
            key = (lost + 1, after)
            grown[key] = grown.get(key, 0) + ways
        states = grown
        if len(states) > _MAX_STATES:
            return None
    rows = [_row(lost, len(nodes), states, groups, fatal) for lost in range(len(nodes) + 1)]
    last = next((row.lost for row in rows if row.gone == row.ways), len(nodes))
    return rows[: last + 1]


def _row(
    lost: int,
    nodes: int,
    states: dict[tuple[int, tuple[int, ...]], int],
    groups: Sequence[Group],
    fatal: Sequence[int],
) -> Survival:
    counts = dict.fromkeys(("safe", "recoverable", "stuck", "lost"), 0)
    for (number, losses), ways in states.items():
        if number == lost:
            able = {g.type for g, n, cap in zip(groups, losses, fatal, strict=True) if n < cap}
            counts[verdict(*_able(able))] += ways
    return Survival(lost, comb(nodes, lost), *counts.values())


def _able(types: Collection[str]) -> tuple[bool, bool]:
    """(can sign, can recover) where groups of these types are able."""
    main = GroupType.MAIN in types
    return main or GroupType.SIGNING in types, main or GroupType.RECOVERY in types
