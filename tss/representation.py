"""How a request looks from outside: one shape for the API, for events and for people's screens."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tss.models import Decision, State, TssRequest
from tss.votes import Tally, decisions_of, tallies
from wire.canonical import CanonicalError
from wire.fields import WireError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# docs/api.md: the compatible status tells less than our own state does.
COMPATIBLE_STATUS = {
    State.AWAITING_APPROVAL: "PendingKeyHolderConfirmation",
    State.APPROVED: "MPCProcessing",
    State.RUNNING: "KeyGenerating",
    State.SUCCEEDED: "Success",
    State.FAILED: "KeyGeneratingFailed",
    State.REJECTED: "KeyHolderConfirmationFailed",
    State.EXPIRED: "KeyHolderConfirmationFailed",
    State.CANCELLED: "KeyHolderConfirmationFailed",
    State.UNSATISFIABLE: "KeyHolderConfirmationFailed",
}


def compatible_status(state: str) -> str:
    """The vendor's status word for our state."""
    return COMPATIBLE_STATUS[State(state)]


def milliseconds(time: datetime) -> int:
    """Unix milliseconds, without the rounding of floats."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def represent(request: TssRequest) -> dict[str, Any]:
    """The compatible TSSRequest and our extra fields.

    Reads `approvals` and `voters`, which a list prefetches (tss.selectors).
    """
    return {
        "tss_request_id": request.id,
        "source_key_share_holder_group": _source(request),
        "target_key_share_holder_group_id": str(request.target_group_id),
        "type": request.type,
        "status": compatible_status(request.state),
        "description": request.description,
        "created_timestamp": milliseconds(request.created_at),
        "vault_id": str(request.vault_id),
        "state": request.state,
        "state_reason": request.state_reason,
        "failed_node_ids": request.failed_node_ids,
        "retryable": request.retryable,
        "updated_timestamp": milliseconds(request.updated_at),
        "expires_timestamp": milliseconds(request.expires_at),
        "digest": request.digest,
        "attempt": request.attempt,
        "approvals": _approvals(request),
    }


def _source(request: TssRequest) -> dict[str, Any] | None:
    if request.source_group_id is None:
        return None
    return {
        "key_share_holder_group_id": str(request.source_group_id),
        "tss_node_ids": request.source_node_ids or None,
    }


def _approvals(request: TssRequest) -> dict[str, Any]:
    decisions = decisions_of(request)
    received = sorted(node_id for node_id, each in decisions.items() if each == Decision.APPROVE)
    return {
        "needed": request.approvals_needed,
        "received": len(received),
        "by": received,
        "votes": [_vote(tally) for tally in readable_tallies(request, decisions)],
    }


def _vote(tally: Tally) -> dict[str, Any]:
    return {
        "side": tally.vote.side,
        "needed": tally.vote.needed,
        "received": len(tally.received),
        "by": list(tally.received),
        "of": list(tally.vote.node_ids),
    }


def readable_tallies(request: TssRequest, decisions: Mapping[str, str] | None = None) -> tuple[Tally, ...]:
    """The tallies (tss.votes); none where somebody spoilt the documents: the request must be able to end
    all the same."""
    try:
        return tallies(request, decisions)
    except (CanonicalError, WireError):
        return ()
