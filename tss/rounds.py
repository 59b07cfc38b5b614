"""Where a ceremony stands: which rounds are complete, and who has not spoken."""

from django.utils import timezone

from mpc.keygen_messages import ROUND_ACTIVATED
from tss import calls
from tss.models import Ceremony, CeremonyState, Message
from wire.envelope import ROUND_MESSAGE, Envelope
from wire.session import KEYGEN_PROTOCOL

# How many rounds of messages each protocol has; in all of them every message is a broadcast.
ROUNDS = {KEYGEN_PROTOCOL: ROUND_ACTIVATED + 1}


def advance(ceremony: Ceremony) -> None:
    """Move on past every complete round and wake the participants.

    Runs after the commit of the message: of several last senders at least one then counts them all.
    """
    while ceremony.round < ceremony.rounds:
        heard = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=ceremony.round)
        if heard.count() < ceremony.participants:
            return
        now = timezone.now()
        won = Ceremony.objects.filter(pk=ceremony.pk, state=CeremonyState.OPEN, round=ceremony.round).update(
            round=ceremony.round + 1, progress_at=now
        )
        if won:
            calls.wake_holders(ceremony.request)
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
