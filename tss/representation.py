"""How a request looks from outside: one shape for the API, for events and for people's screens."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tss.models import Decision, State, TssRequest

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

    Reads `approvals` and `target_group`: a list prefetches the one and selects the other (tss.selectors).
    """
    received = [row.node_id for row in request.approvals.all() if row.decision == Decision.APPROVE]
    return {
        "tss_request_id": request.id,
        "source_key_share_holder_group": None,
        "target_key_share_holder_group_id": str(request.target_group_id),
        "type": request.type,
        "status": compatible_status(request.state),
        "description": request.description,
        "created_timestamp": milliseconds(request.created_at),
        "vault_id": str(request.vault_id),
        "state": request.state,
        "state_reason": request.state_reason,
        "failed_node_ids": request.failed_node_ids,
        "updated_timestamp": milliseconds(request.updated_at),
        "expires_timestamp": milliseconds(request.expires_at),
        "digest": request.digest,
        "attempt": request.attempt,
        "approvals": {
            "needed": request.target_group.participants,
            "received": len(received),
            "by": sorted(received),
        },
    }
