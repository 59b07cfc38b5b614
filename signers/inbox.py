"""Authentication of what the mailbox hands over, before a protocol sees it (R22)."""

from collections.abc import Iterable

from mpc.session import SessionContext
from signers.errors import SessionAbort
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope, EnvelopeError


class Equivocation(SessionAbort):
    """A participant signed two different messages for one slot; `first` and `second` are the proof."""

    def __init__(self, first: Envelope, second: Envelope) -> None:
        message = f"participant {first.sender} signed two messages for round {first.round}"
        super().__init__("equivocation", message, first.sender)
        self.first = first
        self.second = second


class ForeignMessage(SessionAbort):
    """A participant signed `envelope` for a session that is not this one.

    Somebody was shown another roster or another request, unless it is an old message shown again.
    """

    def __init__(self, code: str, message: str, envelope: Envelope) -> None:
        super().__init__(code, message)
        self.envelope = envelope


def open_envelope(data: bytes, context: SessionContext, own_index: int, *, type: int) -> Envelope:
    """Parse an envelope and check that it is another participant's, for this session and this node.

    Raises SessionAbort with a code for each fault. Nobody is blamed: the messenger may have altered the
    bytes.
    """
    try:
        envelope = Envelope.parse(data)
    except EnvelopeError as error:
        raise SessionAbort("bad_envelope", f"{error.code}: {error}") from None
    if envelope.type != type:
        raise SessionAbort(
            "wrong_envelope_type", f"an envelope of type {envelope.type} among those of type {type}"
        )
    foreign = _foreign(envelope, context)
    if foreign is not None:
        raise foreign
    if envelope.sender > context.size:
        raise SessionAbort("unknown_sender", f"there is no participant {envelope.sender}")
    if envelope.sender == own_index:
        raise SessionAbort("reflected_message", "this node's own message came back to it")
    # Every message of a dealing is a broadcast. Were others taken, a sender could tell each participant
    # something else without two messages in one slot, and the wrong echoes would blame those who were told.
    if envelope.recipient != 0:
        raise SessionAbort("wrong_recipient", f"an envelope for participant {envelope.recipient} alone")
    # The key of the manifest, which equals the pinned one (R5), or of the certified source set.
    if not envelope.verify(context.verify_key(envelope.sender)):
        raise SessionAbort("bad_signature", f"an envelope that participant {envelope.sender} has not signed")
    return envelope


def _foreign(envelope: Envelope, context: SessionContext) -> SessionAbort | None:
    if envelope.session_id != context.session_id():
        code, message = "wrong_session", "an envelope of another session"
    elif envelope.protocol != context.protocol:
        code, message = "wrong_protocol", f"an envelope of protocol {envelope.protocol}"
    else:
        return None
    # There it may have another index: whichever participant signed it.
    if any(envelope.verify(each.verify_key) for each in context.participants):
        return ForeignMessage(code, message, envelope)
    return SessionAbort(code, message)


def open_round(
    envelopes: Iterable[bytes], context: SessionContext, own_index: int, round: int
) -> dict[int, Envelope]:
    """The messages of one round by sender; the same message twice counts once. Raises SessionAbort,
    Equivocation."""
    found: dict[int, Envelope] = {}
    for data in envelopes:
        envelope = open_envelope(data, context, own_index, type=ROUND_MESSAGE)
        if envelope.round != round:
            raise SessionAbort(
                "wrong_round", f"an envelope of round {envelope.round} among those of round {round}"
            )
        first = found.setdefault(envelope.sender, envelope)
        if first.signed_bytes() != envelope.signed_bytes():
            raise Equivocation(first, envelope)
    return found


def open_abort(data: bytes, context: SessionContext, own_index: int) -> Envelope:
    """Another participant's ABORT. Raises SessionAbort."""
    return open_envelope(data, context, own_index, type=ABORT)
