"""A small model of set hand-over: honest nodes that obey signers.set_rules, liars, and a hostile coordinator.

What is modelled, for ceremonies (attempts) from the same old set in one group:
- The durable steps of an honest node: first message (abandoning what must be), deal (round 0 was seen),
  prepared, activated, adoption of a certificate, leaving, and the erasure of one set. A crash between two
  steps is a state in which no further step of that node happens yet; nothing that is not durable decides.
- The coordinator delivers, withholds and reorders at will: a step needs that the messages exist, and may then
  happen at any time or never. It shows certificates, and statements, to whom it likes.
- A liar has signed everything that it can sign for itself from the start: every message of every attempt,
  `prepared`, `activated` and `abandoned`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from signers import set_rules
from signers.set_rules import ABANDONED, ACTIVATED, ERASED, FINAL, PREPARED, HeldSet, Roster
from wire.intent import RetiredSets

GROUP, OLD = "group", "old"
# How far a node has spoken in a ceremony.
SILENT, HELLO, DEALT, SIGNED_PREPARED, SIGNED_ACTIVATED = range(5)


@dataclass(frozen=True)
class Part:
    """A node's part in one attempt. held: the set's state or ""; number: the order of its sets."""

    spoken: int = SILENT
    running: bool = False
    held: str = ""
    number: int = 0


@dataclass(frozen=True)
class NodeState:
    """old: state of the share of the old set, "" for a node that has none."""

    old: str
    parts: tuple[Part, ...]

    def sets(self) -> list[HeldSet]:
        sets = [HeldSet(GROUP, 1, "", 1, OLD, b"", self.old, 0)] if self.old else []
        for at, part in enumerate(self.parts):
            if part.held:
                sets.append(HeldSet(GROUP, 2, "", at + 1, str(at), b"old", part.held, part.number))
        return sets

    def with_part(self, at: int, **changes: object) -> "NodeState":
        parts = list(self.parts)
        parts[at] = replace(parts[at], **changes)  # type: ignore[arg-type]
        return replace(self, parts=tuple(parts))

    def marked(self, sets: tuple[HeldSet, ...], state: str) -> "NodeState":
        node = self
        for each in sets:
            if each.session_id == OLD:
                node = replace(node, old=state)
            else:
                node = node.with_part(int(each.session_id), held=state, running=False)
        return node


World = tuple[NodeState, ...]


@dataclass
class Model:
    """honest: names in the order of a World; holders: of the old set; rosters: who runs each attempt;
    threshold: t."""

    honest: tuple[str, ...]
    liars: frozenset[str]
    holders: frozenset[str]
    rosters: tuple[frozenset[str], ...]
    threshold: int = 2
    seen: dict[World, World | None] = field(default_factory=dict)

    def start(self) -> World:
        empty = tuple(Part() for _ in self.rosters)
        return tuple(NodeState(FINAL if name in self.holders else "", empty) for name in self.honest)

    def search(self) -> list[World] | None:
        """All reachable worlds, breadth first; the path to the first bad one, if there is any."""
        self.seen = {self.start(): None}
        queue = deque(self.seen)
        while queue:
            world = queue.popleft()
            if self.broken(world):
                return self._path(world)
            for following in self.steps(world):
                if following not in self.seen:
                    self.seen[following] = world
                    queue.append(following)
        return None

    def _path(self, world: World) -> list[World]:
        path, at = [world], self.seen[world]
        while at is not None:
            path.append(at)
            at = self.seen[at]
        return path[::-1]

    # what can happen

    def steps(self, world: World) -> Iterator[World]:
        for at, node in enumerate(world):
            for changed in self._steps_of(world, at, node):
                yield (*world[:at], changed, *world[at + 1 :])

    def _steps_of(self, world: World, at: int, node: NodeState) -> Iterator[NodeState]:
        for attempt, roster in enumerate(self.rosters):
            if self.honest[at] in roster:
                yield from self._speak(world, node, attempt)
                yield from self._adopt(world, node, attempt)
                yield from self._leave(node, attempt)
        yield from self._erase(node)

    def _speak(self, world: World, node: NodeState, attempt: int) -> Iterator[NodeState]:
        part, sets = node.parts[attempt], node.sets()
        others = (other.parts[attempt].spoken for other in self._honest_in(world, attempt))
        everybody = min(others)
        if part.spoken == SILENT:
            # R20: attempts only rise; R24: a node runs one ceremony of a key, the later one.
            if not any(later.spoken for later in node.parts[attempt + 1 :]) and set_rules.may_start(
                sets, GROUP, 2, fresh=False
            ):
                left = node.marked(set_rules.to_abandon(sets, GROUP, 2), ABANDONED)
                stopped = tuple(replace(each, running=False) for each in left.parts)
                yield replace(left, parts=stopped).with_part(attempt, spoken=HELLO, running=True)
        elif part.spoken == HELLO and part.running and everybody >= HELLO:
            if {each.session_id for each in set_rules.must_be_void(sets, GROUP, 2)} <= self._void(
                world, node, attempt
            ):
                yield node.with_part(attempt, spoken=DEALT)
        elif part.spoken == DEALT and part.running and everybody >= DEALT:
            if set_rules.may_prepare(sets, GROUP, 2, self._void(world, node, attempt)):
                number = 1 + max(each.number for each in node.parts)
                yield node.with_part(attempt, spoken=SIGNED_PREPARED, held=PREPARED, number=number)
        elif (
            part.spoken == SIGNED_PREPARED
            and everybody >= SIGNED_PREPARED
            and set_rules.may_activate(sets, str(attempt))
        ):
            yield node.with_part(attempt, spoken=SIGNED_ACTIVATED, held=ACTIVATED)

    def _void(self, world: World, node: NodeState, joining: int) -> set[str]:
        void = set()
        for each in set_rules.must_be_void(node.sets(), GROUP, 2):
            attempt = int(each.session_id)
            roster = self.rosters[attempt]
            abandoned = (self.liars & roster) | {
                name
                for name, other in zip(self.honest, world, strict=True)
                if name in roster and other.parts[attempt].held == ABANDONED
            }
            if set_rules.is_void(Roster(roster, roster), self.rosters[joining], abandoned):
                void.add(each.session_id)
        return void

    def _adopt(self, world: World, node: NodeState, attempt: int) -> Iterator[NodeState]:
        sets = node.sets()
        if self.certified(world, attempt) and set_rules.may_adopt(sets, str(attempt)):
            others = tuple(
                each for each in set_rules.to_abandon(sets, GROUP, 2) if each.session_id != str(attempt)
            )
            final = node.marked(others, ABANDONED).with_part(attempt, held=FINAL)
            yield replace(final, parts=tuple(replace(each, running=False) for each in final.parts))

    def _leave(self, node: NodeState, attempt: int) -> Iterator[NodeState]:
        part = node.parts[attempt]
        if part.held == PREPARED:
            yield node.with_part(attempt, held=ABANDONED, running=False)
        elif part.running and not part.held:
            yield node.with_part(attempt, running=False)

    def _erase(self, node: NodeState) -> Iterator[NodeState]:
        sets = node.sets()
        made = set_rules.newest(sets, GROUP)
        if made is None or made.session_id == OLD:
            return
        retires = (RetiredSets(GROUP, 1, b""),)
        for each in set_rules.to_erase(sets, GROUP, made.epoch, made.session_id, retires):
            yield node.marked((each,), ERASED)

    # what must never be

    def certified(self, world: World, attempt: int) -> bool:
        """Whether all `activated` signatures exist, so that somebody may hold the certificate."""
        return all(node.parts[attempt].spoken == SIGNED_ACTIVATED for node in self._honest_in(world, attempt))

    def _honest_in(self, world: World, attempt: int) -> list[NodeState]:
        roster = self.rosters[attempt]
        return [node for name, node in zip(self.honest, world, strict=True) if name in roster]

    def broken(self, world: World) -> str:
        """Which promise this world breaks, "" for none."""
        if len({at for node in world for at, part in enumerate(node.parts) if part.held == FINAL}) > 1:
            return "two sets are final"
        if not self._usable(world):
            return "fewer than t holders"
        if not self.liars and self._stranded(world):
            return "a holder refuses a certificate"
        return ""

    def _usable(self, world: World) -> bool:
        """Whether t honest holders keep the shares of one certified set."""
        if sum(node.old == FINAL for node in world) >= min(
            self.threshold, len(self.holders) - len(self.liars & self.holders)
        ):
            return True
        kept = (PREPARED, ACTIVATED, FINAL)
        return any(
            self.certified(world, attempt)
            and sum(node.parts[attempt].held in kept for node in world) >= self.threshold
            for attempt in range(len(self.rosters))
        )

    def _stranded(self, world: World) -> bool:
        """Whether somebody will never accept a set that is complete; without a liar nobody may."""
        return any(
            self.certified(world, attempt)
            and node.parts[attempt].held in (PREPARED, ACTIVATED)
            and not set_rules.may_adopt(node.sets(), str(attempt))
            for attempt in range(len(self.rosters))
            for node in world
        )
