"""Where things stand in the pictures; templates draw them as SVG with the site's own style sheet."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from math import cos, pi, sin

from dashboard.ceremony import AWAITED, MISSING, Lane, Progress
from dashboard.survival import Outlook
from tss.lifecycle import TRANSITIONS
from tss.models import State
from vaults.models import GroupType, Holder, HolderStatus
from vaults.representation import online

# the swim-lanes of a ceremony

_LANE, _NAMES, _PLOT, _TOP = 34, 150, 640, 30


@dataclass(frozen=True)
class Bar:
    """kind: "work" until a node's message came, "wait" from then until the round was complete."""

    kind: str
    x: int
    width: int
    label: str


@dataclass(frozen=True)
class DrawnLane:
    name: str
    y: int
    blamed: bool
    bars: tuple[Bar, ...]
    gap: int | None  # where a message is missing: x of its cross
    mark: str


@dataclass(frozen=True)
class SwimLanes:
    width: int
    height: int
    left: int
    lanes: tuple[DrawnLane, ...]
    rounds: tuple[tuple[int, str], ...]  # x of the end of each complete round, and its name


def swim_lanes(progress: Progress) -> SwimLanes:
    """Bars over time: from the end of the round before to a node's message, from there to its round's end."""
    span = max(1, progress.span, *(end for end in progress.ends if end is not None))

    def x(time: int) -> int:
        return _NAMES + round(_PLOT * time / span)

    lanes = []
    for position, lane in enumerate(progress.lanes):
        mark = next((cell.state for cell in lane.cells if cell.state in (MISSING, AWAITED)), "")
        bars = tuple(_bars(lane, progress, x))
        y = _TOP + position * _LANE
        lanes.append(DrawnLane(lane.name, y, lane.blamed, bars, x(span) if mark else None, mark))
    ends = tuple((x(end), progress.rounds[n]) for n, end in enumerate(progress.ends) if end is not None)
    return SwimLanes(_NAMES + _PLOT + 30, _TOP + len(lanes) * _LANE + 26, _NAMES, tuple(lanes), ends)


def _bars(lane: Lane, progress: Progress, x: Callable[[int], int]) -> Iterator[Bar]:
    starts = [0, *(end for end in progress.ends[:-1] if end is not None)]
    for cell, start in zip(lane.cells, starts, strict=False):
        if cell.after is None:
            continue
        sent, end, name = cell.after, progress.ends[cell.round], progress.rounds[cell.round]
        begin = x(min(start, sent))
        yield Bar("work", begin, max(3, x(sent) - begin), f"{name}: sent after {sent} ms")
        if end is not None and end > sent:
            yield Bar("wait", x(sent), x(end) - x(sent), f"{name}: waited {end - sent} ms")


# the groups of a vault

_BOX, _GAP, _ROW, _HEAD = 250, 40, 26, 58


@dataclass(frozen=True)
class Badge:
    """A holder. kind: online, away, lost (being replaced), gone (in the what-if)."""

    name: str
    y: int
    kind: str
    words: str


@dataclass(frozen=True)
class Box:
    title: str
    line: str
    x: int
    y: int
    height: int
    able: bool
    arc: str  # path: the part of the circle that t of n is
    badges: tuple[Badge, ...]


@dataclass(frozen=True)
class Topology:
    width: int
    height: int
    box: int
    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int, int, int, str], ...]  # x1, y1, x2, y2, meaning


def topology(outlook: Outlook, gone: Collection[str]) -> Topology:
    """Main on the left, what it gave shares to on the right."""
    mains = [each for each in outlook.groups if each.group.type == GroupType.MAIN]
    others = [each for each in outlook.groups if each.group.type != GroupType.MAIN]
    boxes, bottoms = [], []
    for column, lefts in enumerate((mains, others)):
        y = 10
        for left in lefts:
            group = left.group
            badges = tuple(
                Badge(holder.name, _HEAD + row * _ROW, *_badge(holder, gone))
                for row, holder in enumerate(group.holders.all())
            )
            height = _HEAD + len(badges) * _ROW + 6
            line = f"{group.threshold} of {group.participants}, epoch {group.epoch}, {group.status}"
            x = 10 + column * (_BOX + 2 * _GAP)
            arc = _arc(group.threshold, group.participants)
            boxes.append(Box(group.type.removesuffix("Group"), line, x, y, height, left.able, arc, badges))
            y += height + _GAP // 2
        bottoms.append(y)
    edges = []
    if mains:
        first = boxes[0]
        for box, left in zip(boxes[len(mains) :], others, strict=True):
            recovers = left.group.type == GroupType.RECOVERY
            words = "can restore" if recovers else "holds shares of the same key"
            edges.append((first.x + _BOX, first.y + 30, box.x, box.y + 30, words))
    columns_used = 2 if others else 1
    width = 20 + columns_used * _BOX + (columns_used - 1) * 2 * _GAP
    return Topology(width, max(bottoms) + 4, _BOX, tuple(boxes), tuple(edges))


def _badge(holder: Holder, gone: Collection[str]) -> tuple[str, str]:
    if holder.node_id in gone:
        return "gone", "taken away here"
    if holder.status == HolderStatus.CHANGED:
        return "lost", "being replaced"
    return ("online", "online") if online(holder.node) else ("away", "not heard of lately")


def _arc(threshold: int, participants: int) -> str:
    """A circle of radius 15 round the origin, from the top, as far as threshold / participants."""
    if threshold >= participants:
        return "M0 -15 A15 15 0 1 1 -0.01 -15"
    angle = 2 * pi * threshold / participants
    return f"M0 -15 A15 15 0 {int(angle > pi)} 1 {15 * sin(angle):.2f} {-15 * cos(angle):.2f}"


# the states of a request

_STATE_W, _STATE_H, _STATE_X, _STATE_Y = 138, 40, 178, 130


@dataclass(frozen=True)
class DrawnState:
    name: str
    x: int
    y: int
    final: bool
    current: bool


@dataclass(frozen=True)
class StateMachine:
    width: int
    height: int
    states: tuple[DrawnState, ...]
    arrows: tuple[tuple[str, str, str], ...]  # from, to, path


def state_machine(current: str = "") -> StateMachine:
    """Drawn from tss.lifecycle.TRANSITIONS: states that lead on in the upper row, final ones below."""
    ranks = _ranks(TRANSITIONS)
    going = sorted((state for state in ranks if state in TRANSITIONS), key=lambda state: ranks[state])
    final = sorted(
        (state for state in ranks if state not in TRANSITIONS), key=lambda state: (ranks[state], state)
    )
    places = {state: (10 + column * _STATE_X, 60) for column, state in enumerate(going)}
    places |= {state: (10 + column * _STATE_X, 60 + _STATE_Y) for column, state in enumerate(final)}
    states = tuple(
        DrawnState(state, *places[state], state not in TRANSITIONS, state == current) for state in places
    )
    arrows = tuple(
        (str(state), str(to), _path(places[state], places[to]))
        for state in going
        for to in sorted(TRANSITIONS[state])
    )
    width = 20 + max(len(going), len(final)) * _STATE_X - (_STATE_X - _STATE_W)
    return StateMachine(width, 60 + _STATE_Y + _STATE_H + 12, states, arrows)


def _ranks(table: Mapping[State, frozenset[State]]) -> dict[State, int]:
    """How many steps each state is from the first."""
    first = State.AWAITING_APPROVAL
    ranks, queue = {first: 0}, deque([first])
    while queue:
        state = queue.popleft()
        for to in sorted(table.get(state, ())):
            if to not in ranks:
                ranks[to] = ranks[state] + 1
                queue.append(to)
    return ranks


def _path(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = start, end
    half, middle = _STATE_W // 2, _STATE_H // 2
    if y2 > y1:  # down to a final state
        return f"M{x1 + half} {y1 + _STATE_H} L{x2 + half} {y2 - 4}"
    if x2 - x1 == _STATE_X:  # to the next
        return f"M{x1 + _STATE_W} {y1 + middle} L{x2 - 4} {y2 + middle}"
    # back, or over others: an arc above the row
    lift = 18 + 8 * (abs(x2 - x1) // _STATE_X)
    side = 24 if x2 < x1 else -24
    return f"M{x1 + half - side} {y1} Q{(x1 + x2) // 2 + half} {y1 - 2 * lift} {x2 + half + side} {y2 - 4}"
