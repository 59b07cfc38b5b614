"""Events about what a request did beside its own transitions: decisions, share sets, groups.

Each belongs in the transaction of its change, before the audit row. Thin: ids, states and public keys.
"""

from tss.models import Approval, Decision, SetStatement, ShareSet, TssRequest
from vaults.models import Group
from webhooks import outbox

_DECIDED = {
    Decision.APPROVE: "quorate.approval.approved",
    Decision.REJECT: "quorate.approval.rejected",
    Decision.WITHDRAW: "quorate.approval.withdrawn",
}


def decided(request: TssRequest, approval: Approval) -> None:
    """A holder has decided."""
    outbox.emit(
        organisation_id=str(request.organisation_id),
        type=_DECIDED[Decision(approval.decision)],
        data={
            "data_type": "Approval",
            "tss_request_id": request.id,
            "vault_id": str(request.vault_id),
            "tss_node_id": approval.node_id,
            "signed_by": approval.kind,
            "decision": approval.decision,
            "digest": request.digest,
        },
    )


def set_activated(share_set: ShareSet) -> None:
    """A certified set is in use."""
    _set(share_set, "activated")


def set_superseded(share_set: ShareSet) -> None:
    """A set is no longer in use."""
    _set(share_set, "superseded")


def set_stated(statement: SetStatement) -> None:
    """A holder has signed that it erased or abandoned its share."""
    request = statement.ceremony.request
    outbox.emit(
        organisation_id=str(request.organisation_id),
        type=f"quorate.share_set.{statement.state}",
        data={
            "data_type": "ShareSet",
            "vault_id": str(request.vault_id),
            "key_share_holder_group_id": str(request.target_group_id),
            "session_id": statement.ceremony_id,
            "tss_node_id": statement.node_id,
        },
    )


def group_updated(group: Group) -> None:
    """A group has other shares, another role, or was superseded."""
    group.refresh_from_db()
    outbox.emit(
        organisation_id=str(group.vault.organisation_id),
        type="quorate.group.updated",
        data={
            "data_type": "KeyShareHolderGroup",
            "key_share_holder_group_id": str(group.id),
            "vault_id": str(group.vault_id),
            "type": group.type,
            "status": group.status,
            "threshold": group.threshold,
            "participants": group.participants,
            "epoch": group.epoch,
            "manifest_hash": group.manifest_hash,
            "retired": group.retired_at is not None,
        },
    )


def _set(share_set: ShareSet, what: str) -> None:
    group = share_set.group
    outbox.emit(
        organisation_id=str(group.vault.organisation_id),
        type=f"quorate.share_set.{what}",
        data={
            "data_type": "ShareSet",
            "vault_id": str(group.vault_id),
            "key_share_holder_group_id": str(group.id),
            "session_id": share_set.ceremony_id,
            "epoch": share_set.epoch,
            "certificate_hash": share_set.certificate_hash,
        },
    )
