"""How a ceremony goes, node by node and round by round: read from the times at which real messages came.

`progress` is the one source of the live pages, whatever carries it to the browser.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from mpc.dealing_messages import ROUND_ACTIVATED, ROUND_DEAL, ROUND_HELLO, ROUND_PREPARED
from tss.models import Ceremony, CeremonyState, Message
from vaults.representation import online
from wire.envelope import ROUND_MESSAGE

ROUND_NAMES = {
    ROUND_HELLO: "hello",
    ROUND_DEAL: "deal",
    ROUND_PREPARED: "prepared",
    ROUND_ACTIVATED: "activated",
}
HEARD, AWAITED, MISSING, LATER = "heard", "awaited", "missing", "later"
_ENDED = (CeremonyState.SUCCEEDED, CeremonyState.FAILED, CeremonyState.STALLED)


@dataclass(frozen=True)
class Cell:
    """One node in one round. state: HEARD; AWAITED now; MISSING where the ceremony ended without it or its
    node is away; LATER. after: milliseconds from the start to the message."""

    round: int
    state: str
    after: int | None


@dataclass(frozen=True)
class Lane:
    """One node. blamed: it is named as the cause of the end; dealer: its old share deals."""

    index: int
    name: str
    node_id: str
    online: bool
    blamed: bool
    dealer: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Progress:
    """Milliseconds count from the start. ends: of each complete round, when its last message came; span: to
    the end, or to now; messages_deleted: it ended so long ago that its mailbox was emptied."""

    ceremony: Ceremony
    lanes: tuple[Lane, ...]
    ends: tuple[int | None, ...]
    span: int
    messages_deleted: bool

    @property
    def running(self) -> bool:
        return self.ceremony.state == CeremonyState.OPEN

    @property
    def rounds(self) -> tuple[str, ...]:
        return tuple(ROUND_NAMES.get(number, str(number)) for number in range(self.ceremony.rounds))

    @property
    def summary(self) -> str:
        """One sentence, the one that a screen reader announces."""
        ceremony = self.ceremony
        if ceremony.state == CeremonyState.SUCCEEDED:
            return f"Attempt {ceremony.attempt} succeeded after {self.span} milliseconds."
        blamed = ", ".join(lane.name for lane in self.lanes if lane.blamed)
        why = f": {ceremony.reason}" if ceremony.reason else ""
        why += f" Blamed, {'with proof' if ceremony.proven else 'without proof'}: {blamed}." if blamed else ""
        if ceremony.state == CeremonyState.FAILED:
            return f"Attempt {ceremony.attempt} failed{why}"
        if ceremony.state == CeremonyState.STALLED:
            return f"Attempt {ceremony.attempt} waits for its last messages{why}"
        if ceremony.round >= ceremony.rounds:
            return f"Attempt {ceremony.attempt}: all rounds are complete, the certificate is being checked."
        silent = ", ".join(lane.name for lane in self.lanes if lane.cells[ceremony.round].state != HEARD)
        name = self.rounds[ceremony.round]
        waits = f", waits for {silent}" if silent else ""
        return f"Attempt {ceremony.attempt}: round {ceremony.round + 1} of {ceremony.rounds} ({name}){waits}."


def progress(ceremony: Ceremony) -> Progress:
    """Where the ceremony stands now."""
    heard: dict[tuple[int, int], int] = {}
    messages = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE)
    for sender, round, time in messages.values_list("sender", "round", "received_at"):
        heard[sender, round] = _milliseconds(ceremony.started_at, time)
    members = list(ceremony.members.select_related("node").order_by("index"))
    lanes = tuple(
        Lane(
            member.index,
            member.name,
            member.node_id,
            online(member.node),
            member.node_id in ceremony.blamed_node_ids,
            member.node_id in ceremony.dealers,
            tuple(
                _cell(ceremony, number, heard.get((member.index, number)), away=not online(member.node))
                for number in range(ceremony.rounds)
            ),
        )
        for member in members
    )
    return Progress(
        ceremony,
        lanes,
        tuple(_end(lanes, number) for number in range(ceremony.rounds)),
        _milliseconds(ceremony.started_at, ceremony.finished_at or timezone.now()),
        messages_deleted=ceremony.state in _ENDED and not heard and ceremony.round > 0,
    )


def _cell(ceremony: Ceremony, number: int, after: int | None, *, away: bool) -> Cell:
    if after is not None:
        return Cell(number, HEARD, after)
    if number < ceremony.round:
        return Cell(number, HEARD, None)  # complete; the message was deleted after its retention time
    if number > ceremony.round:
        return Cell(number, LATER, None)
    return Cell(number, MISSING if away or ceremony.state in _ENDED else AWAITED, None)


def _end(lanes: tuple[Lane, ...], number: int) -> int | None:
    times = [lane.cells[number].after for lane in lanes]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _milliseconds(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
