"""What a node keeps when somebody's signed message shows a fault (R22)."""

from collections.abc import Mapping

from mpc.errors import ProtocolAbort
from signers.errors import SessionAbort
from signers.evidence import EQUIVOCATION, FAULT, SEEN, SPLIT_VIEW
from signers.inbox import Equivocation, ForeignMessage
from signers.sessions import SessionRecord
from signers.store import Store
from wire.envelope import Envelope


def keep_evidence(store: Store, record: SessionRecord, error: SessionAbort) -> None:
    """Keep the pair of envelopes that a fault of the mailbox's messages proves, where there is one."""
    if isinstance(error, Equivocation):
        store.evidence.keep(record.session_id, EQUIVOCATION, error.first, error.second)
    elif isinstance(error, ForeignMessage):
        # N05: of another session that this node knows it is an old message, and no evidence.
        own = store.sessions.outgoing(record.session_id, record.round)
        foreign = error.envelope.session_id.hex()
        replayed = foreign != record.session_id and store.sessions.get(foreign) is not None
        if own is not None and not replayed:
            store.evidence.keep(record.session_id, SPLIT_VIEW, Envelope.parse(own), error.envelope)


def keep_fault(
    store: Store, record: SessionRecord, error: ProtocolAbort, envelopes: Mapping[int, Envelope]
) -> None:
    """Keep the signed message that the protocol found a fault in, beside this node's own of that round.

    What this node was shown is kept too, of the round before where the echoes differ: if another participant
    or the mailbox was shown something else in that slot, the two are proof against the sender (N03).
    """
    own = store.sessions.outgoing(record.session_id, record.round)
    if own is None or error.index not in envelopes:
        return
    split = error.code == "echo_mismatch"
    kept = SPLIT_VIEW if split else FAULT
    store.evidence.keep(record.session_id, kept, Envelope.parse(own), envelopes[error.index])
    shown = [envelopes[error.index]]
    if split and record.round > 0:
        before = (
            store.sessions.incoming(record.session_id, record.round - 1, sender) for sender in envelopes
        )
        shown = [Envelope.parse(each) for each in before if each is not None]
    for envelope in shown:
        store.evidence.keep(record.session_id, SEEN, envelope, envelope)
