"""Where a ceremony stands: which rounds are complete, and who has not spoken."""

from django.utils import timezone

from mpc.dealing_messages import ROUND_ACTIVATED
from tss import calls
from tss.models import Ceremony, CeremonyState, Message
from wire.envelope import ROUND_MESSAGE, Envelope
from wire.session import KEYGEN_PROTOCOL, RESHARE_PROTOCOL

# How many rounds of messages each protocol has; in all of them every message is a broadcast.
ROUNDS = dict.fromkeys((KEYGEN_PROTOCOL, RESHARE_PROTOCOL), ROUND_ACTIVATED + 1)
# Messages are welcome: the ceremony runs, or can still be completed (R26).
LISTENING = (CeremonyState.OPEN, CeremonyState.STALLED)


def advance(ceremony: Ceremony) -> None:
    """Move on past every complete round and wake the participants.

    Runs after the commit of the message: of several last senders at least one then counts them all. A round
    is served once this has moved past it, and never of a ceremony that failed before: so nobody can hold all
    `prepared` signatures of a ceremony that the rows call failed and not stalled.
    """
    while ceremony.round < ceremony.rounds:
        heard = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=ceremony.round)
        if heard.count() < ceremony.participants:
            return
        now = timezone.now()
        listening = Ceremony.objects.filter(pk=ceremony.pk, state__in=LISTENING, round=ceremony.round)
        if listening.update(round=ceremony.round + 1, progress_at=now):
            calls.wake_participants(ceremony)
        ceremony.round, ceremony.progress_at = ceremony.round + 1, now


def silent(ceremony: Ceremony) -> list[int]:
    """Who has not sent its message of the current round; nobody once all rounds are complete."""
    if ceremony.round >= ceremony.rounds:
        return []
    heard = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=ceremony.round)
    return sorted(set(range(1, ceremony.participants + 1)) - set(heard.values_list("sender", flat=True)))


def transcript(ceremony: Ceremony) -> dict[int, dict[int, bytes]]:
    """The bodies so far: round -> sender -> body."""
    bodies: dict[int, dict[int, bytes]] = {number: {} for number in range(ceremony.rounds)}
    messages = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE)
    for envelope in messages.order_by("round", "sender").values_list("envelope", flat=True):
        message = Envelope.parse(bytes(envelope))
        bodies[message.round][message.sender] = message.body
    return bodies
