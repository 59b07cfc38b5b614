"""Whom to blame when a participant leaves a ceremony.

The public transcript is replayed: what it proves counts more than what the leaver says. Either only steers
what the coordinator does next; nodes believe signed proofs (R21).
"""

from dataclasses import dataclass

from mpc.dealing import find_culprit
from mpc.dealing_messages import ROUND_PREPARED, Prepared, parse_prepared
from mpc.errors import ProtocolAbort
from mpc.session import SessionContext
from tss import rounds
from tss.documents import context_of, names_of, source_statement
from tss.models import Ceremony, Message
from wire.abort import Abort
from wire.canonical import CanonicalError
from wire.envelope import ABORT, Envelope
from wire.fields import WireError


@dataclass(frozen=True)
class Verdict:
    """reason: a sentence for people; blamed: 1-based indices; proven: what they signed proves it."""

    reason: str
    blamed: list[int]
    proven: bool = False


def proven(ceremony: Ceremony) -> Verdict | None:
    """What the public transcript proves so far, if anything."""
    proof = find_culprit(context_of(ceremony), rounds.transcript(ceremony), source_statement(ceremony))
    if proof is None or not proof.index:
        return None
    name = names_of(ceremony)[proof.index]
    return Verdict(f"{name} broke the protocol: {proof.detail} ({proof.code})", [proof.index], proven=True)


def all_prepared(ceremony: Ceremony) -> bool:
    """The point of no return (R26): every participant has signed `prepared` and been served the others', so
    each of them may have activated its share, whatever becomes of the ceremony here."""
    if ceremony.round <= ROUND_PREPARED:
        return False
    bodies = rounds.transcript(ceremony)
    prepared = {number: bodies[number] for number in range(ROUND_PREPARED + 1)}
    return find_culprit(context_of(ceremony), prepared, source_statement(ceremony)) is None


def complained(ceremony: Ceremony, envelope: Envelope) -> Verdict | None:
    """Judge a complaint at once (R22), when it arrives or when its round is complete.

    Whichever way it is decided, the accused or the accuser broke the protocol and nobody can go on.
    """
    if envelope.round != ROUND_PREPARED:
        return None
    bodies = {envelope.sender: envelope.body}
    if ceremony.round > ROUND_PREPARED:
        bodies = rounds.transcript(ceremony)[ROUND_PREPARED]
    context = context_of(ceremony)
    if all(_is_prepared(context, sender, body) for sender, body in bodies.items()):
        return None
    return proven(ceremony)


def left(ceremony: Ceremony) -> Verdict | None:
    """Judge the first ABORT in the mailbox, if there is one."""
    row = Message.objects.filter(ceremony=ceremony, type=ABORT).order_by("id").first()
    return judge(ceremony, Envelope.parse(bytes(row.envelope))) if row else None


def judge(ceremony: Ceremony, envelope: Envelope) -> Verdict | None:
    """Judge an ABORT envelope whose signature has been verified.

    None: all messages are in and all are good, so the members have their certificate (R25) and leaving comes
    too late.
    """
    proof = proven(ceremony)
    if proof is not None or ceremony.round >= ceremony.rounds:
        return proof
    names = names_of(ceremony)
    sender = names[envelope.sender]
    try:
        abort = Abort.parse(envelope.body)
    except (CanonicalError, WireError):
        return Verdict(f"{sender} left the ceremony with a malformed message", [envelope.sender])
    said = f"{sender} left in round {envelope.round + 1} of {ceremony.rounds}: {abort.message} ({abort.code})"
    if abort.blamed not in names:
        return Verdict(said, [])
    return Verdict(f"{said}, which blames {names[abort.blamed]}", [abort.blamed])


def _is_prepared(context: SessionContext, sender: int, body: bytes) -> bool:
    try:
        return isinstance(parse_prepared(context, sender, body), Prepared)
    except ProtocolAbort:
        return False
