"""What a node keeps when somebody's signed message shows a fault (R22)."""

from collections.abc import Mapping

from mpc.errors import ProtocolAbort
from signers.errors import SessionAbort
from signers.evidence import EQUIVOCATION, FAULT, SPLIT_VIEW
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
    """Keep the signed message that the protocol found a fault in, beside this node's own of that round."""
    own = store.sessions.outgoing(record.session_id, record.round)
    if own is None or error.index not in envelopes:
        return
    kind = SPLIT_VIEW if error.code == "echo_mismatch" else FAULT
    store.evidence.keep(record.session_id, kind, Envelope.parse(own), envelopes[error.index])
