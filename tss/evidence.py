"""Evidence: two signed envelopes that cannot both be honest (R22). Kept for ever, shown on the request.

It convinces anybody who has the roster; what the nodes do about it they decide themselves.
"""

from audit import rationing
from audit import services as audit
from mpc.encoding import HASH_SIZE
from mpc.session import SessionContext
from tss.certificates import decode_base64
from tss.documents import context_of, names_of
from tss.errors import ItemRefused
from tss.lifecycle import note, settle
from tss.models import Ceremony, Evidence, EvidenceKind, Message, Participant
from vaults.actors import Actor
from vaults.models import Node
from wire.canonical import Json
from wire.envelope import MAX_ENVELOPE, ROUND_MESSAGE, Envelope
from wire.fields import Fields

# One message as a participant was shown it: evidence if the mailbox holds another in its slot.
_SEEN = "seen"
_MAX_BASE64 = 4 * MAX_ENVELOPE // 3 + 4


def accept(*, node: Node, value: Json) -> None:
    """Take two envelopes that a participant has seen; the same evidence again changes nothing.

    Raises ItemRefused, WireError, or EnvelopeError for bytes that are not envelopes.
    """
    fields = Fields(value, "evidence")
    session_id = fields.hex("session_id", 32).hex()
    kind = fields.text("kind", choices=(*EvidenceKind.values, _SEEN))
    first = Envelope.parse(decode_base64(fields.text("first", max_length=_MAX_BASE64)))
    other = fields.text("second", max_length=0 if kind == _SEEN else _MAX_BASE64, empty=kind == _SEEN)
    fields.end()
    row = (
        Participant.objects.select_related("ceremony__request").filter(ceremony=session_id, node=node).first()
    )
    if row is None:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    if kind == _SEEN:
        pair = _other_half(row.ceremony, first)
        if pair is None:
            return  # it was shown what the mailbox holds
        kind, second = EvidenceKind.EQUIVOCATION, first
        first = pair
    else:
        kind, second = EvidenceKind(kind), Envelope.parse(decode_base64(other))
    try:
        _check(row.ceremony, kind, first, second)
    except ItemRefused as refused:
        if rationing.due((node.pk, "evidence")):
            _record(row.ceremony, node, "denied", {"reason": f"evidence: {refused.message}"})
        raise
    _keep(row.ceremony, kind, first, second, reporter=node)


def keep_equivocation(ceremony: Ceremony, first: Envelope, second: Envelope) -> None:
    """Keep what the mailbox itself saw: two verified messages of one sender for one slot."""
    Evidence.objects.get_or_create(
        ceremony=ceremony,
        kind=EvidenceKind.EQUIVOCATION,
        sender=second.sender,
        round=second.round,
        defaults={"first": first.encode(), "second": second.encode()},
    )


def _other_half(ceremony: Ceremony, seen: Envelope) -> Envelope | None:
    """What the mailbox holds in the slot of a message that a participant was shown, if that is another."""
    type, round, sender, recipient = seen.slot
    slot = {"type": type, "round": round, "sender": sender, "recipient": recipient}
    held = Message.objects.filter(ceremony=ceremony, **slot).first()
    if held is None:
        return None
    envelope = Envelope.parse(bytes(held.envelope))
    return envelope if _equivocate(envelope, seen) else None


def _check(ceremony: Ceremony, kind: EvidenceKind, first: Envelope, second: Envelope) -> None:
    context = context_of(ceremony)
    own = bytes.fromhex(ceremony.session_id)
    if first.session_id != own or not _signed_by_its_sender(context, first):
        raise ItemRefused("no_evidence", "the first message is not a participant's of this ceremony")
    # The mailbox takes no others; one kept for each would let a participant fill the table with its own.
    if first.round >= ceremony.rounds:
        raise ItemRefused("no_evidence", f"the protocol has rounds 0 to {ceremony.rounds - 1}")
    if second.session_id == own and second.protocol == first.protocol:
        if not _signed_by_its_sender(context, second):
            raise ItemRefused("no_evidence", "the second message is not signed by its sender")
        conflict = _equivocate if kind == EvidenceKind.EQUIVOCATION else _heard_different_rounds
        if not conflict(first, second):
            raise ItemRefused("no_evidence", "an honest sender can have signed both messages")
        return
    # Of a session that was never opened here: somebody showed its signer another roster or digest. The index
    # may differ there, the key does not.
    known = Ceremony.objects.filter(pk=second.session_id.hex(), protocol=second.protocol).exists()
    signed = any(second.verify(each.verify_key) for each in context.participants)
    if kind != EvidenceKind.SPLIT_VIEW or known or not signed:
        raise ItemRefused("no_evidence", "the second message is of another ceremony, or not a participant's")


def _signed_by_its_sender(context: SessionContext, envelope: Envelope) -> bool:
    if envelope.sender not in context.indices:
        return False
    return envelope.verify(context.verify_key(envelope.sender))


def _equivocate(first: Envelope, second: Envelope) -> bool:
    return first.slot == second.slot and first.signed_bytes() != second.signed_bytes()


def _heard_different_rounds(first: Envelope, second: Envelope) -> bool:
    """Whether two participants echo different transcripts of the rounds before theirs."""
    if not first.type == second.type == ROUND_MESSAGE or first.round != second.round:
        return False
    return first.sender != second.sender and first.body[:HASH_SIZE] != second.body[:HASH_SIZE]


def _keep(
    ceremony: Ceremony, kind: EvidenceKind, first: Envelope, second: Envelope, *, reporter: Node
) -> None:
    # One a sender and round is enough, so that nobody can fill the table.
    _, created = Evidence.objects.get_or_create(
        ceremony=ceremony,
        kind=kind,
        sender=first.sender,
        round=first.round,
        defaults={"first": first.encode(), "second": second.encode(), "reporter": reporter},
    )
    if not created:
        return
    names = names_of(ceremony)
    detail = {"kind": kind.value, "round": first.round, "sender": names[first.sender], "node": reporter.pk}
    settle(
        ceremony.request_id,
        lambda fresh: note(request=fresh, kind="evidence", actor=Actor.of_node(reporter), detail=detail),
    )


def _record(ceremony: Ceremony, node: Node, act: str, detail: dict[str, str]) -> None:
    audit.record(
        actor=Actor.of_node(node).label,
        act=act,
        subject=f"ceremony:{ceremony.session_id}",
        detail=detail,
        organisation_id=str(ceremony.request.organisation_id),
    )
