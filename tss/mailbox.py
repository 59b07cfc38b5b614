"""The mailbox: immutable slots of signed messages (R22)."""

from django.db import IntegrityError, transaction

from tss import blame, ceremonies, rounds
from tss.documents import card_of, holder_names, manifest_of
from tss.errors import ItemRefused
from tss.models import Ceremony, CeremonyState, Evidence, Message
from vaults.actors import Actor
from vaults.models import Node
from wire.envelope import ABORT, Envelope


def store(*, node: Node, data: bytes) -> None:
    """Put a node's envelope into its slot; the same message again changes nothing.

    A second, different message in a slot is evidence against its sender and ends the ceremony. Raises
    ItemRefused, or EnvelopeError for bytes that are not an envelope.
    """
    envelope = Envelope.parse(data)
    ceremony = (
        Ceremony.objects.select_related("request__target_group")
        .filter(pk=envelope.session_id.hex(), request__target_group__holders__node=node)
        .first()
    )
    if ceremony is None:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    _check(ceremony, node, envelope)
    earlier = _put(ceremony, envelope)
    if earlier is not None:
        _compare(ceremony, node, earlier, envelope)
    if ceremony.state != CeremonyState.OPEN:
        return
    # Also for a repeat: the process that stored the message may have been killed before it came to this.
    if envelope.type == ABORT:
        verdict = blame.judge(ceremony, envelope)
    else:
        rounds.advance(ceremony)
        verdict = blame.complained(ceremony, envelope)
    if verdict is not None:
        ceremonies.fail(ceremony, actor=Actor.of_node(node), reason=verdict.reason, blamed=verdict.blamed)


def _check(ceremony: Ceremony, node: Node, envelope: Envelope) -> None:
    manifest = manifest_of(ceremony.request.manifest)
    if node.tss_node_id not in manifest.node_ids:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    if envelope.sender != manifest.index_of(node.tss_node_id):
        raise ItemRefused("foreign_sender", f"this node is not participant {envelope.sender}")
    # R22: only what verifies against the manifest is stored, which is what makes blame provable.
    if not envelope.verify(card_of(manifest, envelope.sender).signing_key):
        raise ItemRefused("bad_signature", "the signature is not the sender's over this envelope")
    if envelope.protocol != ceremony.protocol:
        raise ItemRefused("wrong_protocol", f"the ceremony runs {ceremony.protocol}")
    if envelope.round >= ceremony.rounds:
        raise ItemRefused("wrong_round", f"the protocol has rounds 0 to {ceremony.rounds - 1}")
    # Every message of keygen is a broadcast; what is secret in it is sealed for its recipient.
    if envelope.recipient != 0:
        raise ItemRefused("wrong_recipient", "messages of this protocol are for all participants")


def _compare(ceremony: Ceremony, node: Node, earlier: Message, envelope: Envelope) -> None:
    first = Envelope.parse(bytes(earlier.envelope))
    # Two signatures over the same content say the same thing twice.
    if first.signed_bytes() == envelope.signed_bytes():
        return
    if ceremony.state != CeremonyState.OPEN:
        raise ItemRefused("closed", f"the ceremony has {ceremony.state}")
    Evidence.objects.get_or_create(
        ceremony=ceremony,
        sender=envelope.sender,
        round=envelope.round,
        defaults={"first": bytes(earlier.envelope), "second": envelope.encode()},
    )
    name = holder_names(ceremony.request)[envelope.sender]
    ceremonies.fail(
        ceremony,
        actor=Actor.of_node(node),
        reason=f"{name} signed two different messages for round {envelope.round + 1}",
        blamed=[envelope.sender],
    )
    raise ItemRefused("equivocation", "the slot holds a different message of this sender")


def _put(ceremony: Ceremony, envelope: Envelope) -> Message | None:
    """Fill the slot, or return what has filled it before: the database decides which came first."""
    kind, round, sender, recipient = envelope.slot
    slot = {"ceremony": ceremony, "type": kind, "round": round, "sender": sender, "recipient": recipient}
    if ceremony.state != CeremonyState.OPEN:
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
