"""The mailbox: immutable slots of signed messages (R22)."""

from django.db import IntegrityError, transaction

from audit import rationing
from audit import services as audit
from mpc.session import SessionContext
from tss import blame, ceremonies, evidence, jobs, rounds
from tss.documents import context_of, names_of
from tss.errors import ItemRefused
from tss.models import Ceremony, CeremonyState, JobKind, Message, Participant
from vaults.actors import Actor
from vaults.models import Node
from wire.envelope import ABORT, Envelope


def store(*, node: Node, data: bytes) -> None:
    """Put a node's envelope into its slot; the same message again changes nothing.

    A second, different message in a slot is evidence against its sender and ends the ceremony. One that
    stalled still takes what it lacks, and its last message completes it (R26). Raises ItemRefused, or
    EnvelopeError for bytes that are not an envelope.
    """
    envelope = Envelope.parse(data)
    row = (
        Participant.objects.select_related("ceremony__request")
        .filter(ceremony=envelope.session_id.hex(), node=node)
        .first()
    )
    if row is None:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    ceremony = row.ceremony
    _check(ceremony, context_of(ceremony), node, envelope)
    earlier = _put(ceremony, envelope)
    if earlier is not None:
        _compare(ceremony, node, earlier, envelope)
    if ceremony.state == CeremonyState.OPEN:
        _draw_consequences(ceremony, node, envelope)
    elif ceremony.state == CeremonyState.STALLED:
        rounds.advance(ceremony)
        if ceremony.round >= ceremony.rounds:
            jobs.ring(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id)


def _draw_consequences(ceremony: Ceremony, node: Node, envelope: Envelope) -> None:
    # Also for a repeat: the process that stored the message may have been killed before it came to this.
    if envelope.type == ABORT:
        verdict = blame.judge(ceremony, envelope)
    else:
        rounds.advance(ceremony)
        verdict = blame.complained(ceremony, envelope)
    if verdict is not None:
        ceremonies.fail(
            ceremony,
            actor=Actor.of_node(node),
            reason=verdict.reason,
            blamed=verdict.blamed,
            proven=verdict.proven,
        )


def _check(ceremony: Ceremony, context: SessionContext, node: Node, envelope: Envelope) -> None:
    # The roster is what the session id is made of; a row that somebody added makes nobody a participant.
    index = next((each.index for each in context.participants if each.node_id == node.tss_node_id), 0)
    if not index:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    # N04: whoever calls may hand in its own messages only.
    if envelope.sender != index:
        _denied(ceremony, node, f"a message of participant {envelope.sender}")
        raise ItemRefused("foreign_sender", f"this node is not participant {envelope.sender}")
    # R22: only what verifies against the manifest is stored, which is what makes blame provable.
    if not envelope.verify(context.verify_key(index)):
        _denied(ceremony, node, "a message that it did not sign")
        raise ItemRefused("bad_signature", "the signature is not the sender's over this envelope")
    if envelope.protocol != ceremony.protocol:
        raise ItemRefused("wrong_protocol", f"the ceremony runs {ceremony.protocol}")
    if envelope.round >= ceremony.rounds:
        raise ItemRefused("wrong_round", f"the protocol has rounds 0 to {ceremony.rounds - 1}")
    # Every message is a broadcast; what is secret in it is sealed for its recipient.
    if envelope.recipient != 0:
        raise ItemRefused("wrong_recipient", "messages of this protocol are for all participants")


def _denied(ceremony: Ceremony, node: Node, what: str) -> None:
    if rationing.due((node.pk, "message")):
        audit.record(
            actor=Actor.of_node(node).label,
            act="denied",
            subject=f"ceremony:{ceremony.session_id}",
            detail={"reason": f"handed in {what}"},
            organisation_id=str(ceremony.request.organisation_id),
        )


def _compare(ceremony: Ceremony, node: Node, earlier: Message, envelope: Envelope) -> None:
    first = Envelope.parse(bytes(earlier.envelope))
    # Two signatures over the same content say the same thing twice.
    if first.signed_bytes() == envelope.signed_bytes():
        return
    if ceremony.state not in rounds.LISTENING:
        raise ItemRefused("closed", f"the ceremony has {ceremony.state}")
    evidence.keep_equivocation(ceremony, first, envelope)
    name = names_of(ceremony)[envelope.sender]
    ceremonies.fail(
        ceremony,
        actor=Actor.of_node(node),
        reason=f"{name} signed two different messages for round {envelope.round + 1}",
        blamed=[envelope.sender],
        proven=True,
    )
    raise ItemRefused("equivocation", "the slot holds a different message of this sender")


def _put(ceremony: Ceremony, envelope: Envelope) -> Message | None:
    """Fill the slot, or return what has filled it before: the database decides which came first."""
    kind, round, sender, recipient = envelope.slot
    slot = {"ceremony": ceremony, "type": kind, "round": round, "sender": sender, "recipient": recipient}
    if ceremony.state not in rounds.LISTENING:
        earlier = Message.objects.filter(**slot).first()
        if earlier is None:
            raise ItemRefused("closed", f"the ceremony has {ceremony.state}")
        return earlier
    try:
        with transaction.atomic():
            Message.objects.create(**slot, envelope=envelope.encode())
    except IntegrityError:
        return Message.objects.get(**slot)
    return None
