"""What somebody in front of a failed request asks first: is my key safe, and what do I do now?"""

from dataclasses import dataclass
from typing import Any

from tss.models import CeremonyState, RequestType, State, TssRequest

_ENDED_UNUSED = (State.REJECTED, State.EXPIRED, State.CANCELLED, State.UNSATISFIABLE)


@dataclass(frozen=True)
class Answer:
    """safe: whether the key is as it was; words: why; now: what to do."""

    safe: bool
    words: str
    now: str


def answer(request: TssRequest, explanation: dict[str, Any]) -> Answer | None:
    """The answer for a request that ended without success; None for any other. explanation: tss.explain."""
    now = explanation["next"]
    if request.state in _ENDED_UNUSED:
        return Answer(True, "No share was made, moved or erased: everything is as it was before.", now)
    if request.state != State.FAILED:
        return None
    if explanation["evidence"]:
        now = f"Somebody signed two things that cannot both be honest: read the evidence below. {now}"
    ceremonies = list(request.ceremonies.all())
    if any(each.state == CeremonyState.STALLED for each in ceremonies):
        words = (
            "All holders have prepared their new shares and none was erased. "
            + _old_shares(request)
            + " Keep every node and its data as they are until the ceremony is completed."
        )
        return Answer(True, words, now)
    if any(each.proven for each in ceremonies):
        now = f"A node was proved to have broken the protocol: ask its operator before anything else. {now}"
    return Answer(True, _old_shares(request), now)


def _old_shares(request: TssRequest) -> str:
    if request.type == RequestType.KEY_GEN:
        return "There is no key yet, so nothing can be lost: do not fund any address of it."
    return (
        "The shares that were in use before still are, and work as before: a share is erased only behind the "
        "certificate of its successor, and there is none (R26)."
    )
