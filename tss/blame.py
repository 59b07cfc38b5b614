"""Whom to blame when a participant leaves a ceremony.

The public transcript is replayed: what it proves counts more than what the leaver says. Either only steers
what the coordinator does next; nodes believe signed proofs (R21).
"""

from dataclasses import dataclass

from mpc.keygen import find_culprit
from tss.documents import context_of, holder_names
from tss.models import Ceremony, Message
from wire.abort import Abort
from wire.canonical import CanonicalError
from wire.envelope import ROUND_MESSAGE, Envelope
from wire.fields import WireError


@dataclass(frozen=True)
class Verdict:
    """reason: a sentence for people; blamed: 1-based indices."""

    reason: str
    blamed: list[int]


def judge(ceremony: Ceremony, envelope: Envelope) -> Verdict:
    """Judge an ABORT envelope whose signature has been verified."""
    names = holder_names(ceremony.request)
    sender = names[envelope.sender]
    proof = find_culprit(context_of(ceremony.request, ceremony.attempt), _transcript(ceremony))
    if proof is not None and proof.index:
        return Verdict(
            f"{names[proof.index]} broke the protocol: {proof.detail} ({proof.code})", [proof.index]
        )
    try:
        abort = Abort.parse(envelope.body)
    except (CanonicalError, WireError):
        return Verdict(f"{sender} left the ceremony with a malformed message", [envelope.sender])
    said = f"{sender} left in round {envelope.round + 1} of {ceremony.rounds}: {abort.message} ({abort.code})"
    if abort.blamed not in names:
        return Verdict(said, [])
    return Verdict(f"{said}, which blames {names[abort.blamed]}", [abort.blamed])


def _transcript(ceremony: Ceremony) -> dict[int, dict[int, bytes]]:
    """The bodies so far: round -> sender -> body."""
    rounds: dict[int, dict[int, bytes]] = {number: {} for number in range(ceremony.rounds)}
    messages = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE)
    for envelope in messages.order_by("round", "sender").values_list("envelope", flat=True):
        message = Envelope.parse(bytes(envelope))
        rounds[message.round][message.sender] = message.body
    return rounds
