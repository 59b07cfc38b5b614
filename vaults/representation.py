"""How projects, vaults, groups and holders look from outside: one shape for the API and for events."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from vaults import policies
from vaults.models import ApiKey, Group, GroupStatus, Holder, HolderStatus, Node, NodeKind, Project, Vault


def milliseconds(time: datetime) -> int:
    """Unix milliseconds."""
    return int(time.timestamp() * 1000)


def project(row: Project) -> dict[str, Any]:
    """MPCProject."""
    return {
        "project_id": str(row.id),
        "org_id": str(row.organisation_id),
        "name": row.name,
        "participants": row.participants,
        "threshold": row.threshold,
        "created_timestamp": milliseconds(row.created_at),
    }


def vault(row: Vault) -> dict[str, Any]:
    """MPCVault; reads `root_keys`, which a list prefetches."""
    keys = sorted(row.root_keys.all(), key=lambda key: key.curve, reverse=True)
    return {
        "vault_id": str(row.id),
        "project_id": str(row.project_id) if row.project_id else None,
        "name": row.name,
        "type": row.type,
        "root_pubkeys": [{"root_pubkey": key.root_extended_public_key, "curve": key.curve} for key in keys],
        "created_timestamp": milliseconds(row.created_at),
    }


def group(row: Group) -> dict[str, Any]:
    """KeyShareHolderGroup; reads `holders` with their nodes and `key_share_groups`."""
    shape = {
        "key_share_holder_group_id": str(row.id),
        "type": row.type,
        "key_share_holders": [holder(member) for member in sorted(row.holders.all(), key=lambda h: h.index)],
        "participants": row.participants,
        "threshold": row.threshold,
        "status": row.status,
        "created_timestamp": milliseconds(row.created_at),
        "vault_id": str(row.vault_id),
        "manifest_hash": row.manifest_hash,
        "epoch": row.epoch,
        "retired": row.retired_at is not None,
        "refresh_every_days": row.refresh_every.days if row.refresh_every else None,
        "next_refresh_timestamp": milliseconds(row.next_refresh_at) if row.next_refresh_at else None,
    }
    if row.status != GroupStatus.NEW:
        shape["tss_key_share_groups"] = [
            {
                "tss_key_share_group_id": shares.id,
                "curve": shares.curve,
                "root_pubkey": shares.root_extended_public_key,
            }
            for shares in sorted(row.key_share_groups.all(), key=lambda s: s.curve, reverse=True)
        ]
    return shape


def holder(row: Holder) -> dict[str, Any]:
    """KeyShareHolder, a member of a group."""
    return {
        "name": row.name,
        "tss_node_id": row.node_id,
        "type": holder_type(row.node),
        "online": online(row.node),
        "signer": row.signer,
        "status": row.status,
        "replacement_tss_node_id": row.replacement_id,
    }


def membership(row: Holder) -> dict[str, Any]:
    """A group that a replaced node is also in (R28), and what that means; reads its group and vault."""
    if row.group.retired_at is not None:
        advice = "the group is retired, but retiring it erased no share: the node may still hold one"
    elif row.replacement_id is None:
        advice = "the node still holds a share here: replace it in this group as well"
    else:
        advice = "its replacement here is named: the share stays of use until the change has succeeded"
    return {
        "vault_id": str(row.group.vault_id),
        "vault_name": row.group.vault.name,
        "key_share_holder_group_id": str(row.group_id),
        "type": row.group.type,
        "participants": row.group.participants,
        "threshold": row.group.threshold,
        "retired": row.group.retired_at is not None,
        "status": row.status,
        "advice": advice,
    }


def policy(row: Vault) -> dict[str, Any]:
    """The vault's policy: the document, the canonical text that nodes hash, and its hash (R12)."""
    document = policies.current(row)
    return {
        "vault_id": str(row.id),
        "policy": document.to_json(),
        "policy_hash": document.hash().hex(),
        "canonical": row.policy,
    }


def service_holder(node: Node) -> dict[str, Any]:
    """KeyShareHolder of the service's own signer, which any group may name."""
    return {
        "name": node.name,
        "tss_node_id": node.tss_node_id,
        "type": holder_type(node),
        "online": online(node),
        "signer": True,
        "status": HolderStatus.VALID,
        "replacement_tss_node_id": None,
    }


def holder_type(node: Node) -> str:
    """Cobo for the service's own signer, API for any other node."""
    return "Cobo" if node.kind == NodeKind.SERVICE else "API"


def online(node: Node) -> bool:
    """Whether the node called within the last NODE_ONLINE_S seconds."""
    seen = node.last_seen_at
    return seen is not None and (timezone.now() - seen).total_seconds() <= settings.QUORATE["NODE_ONLINE_S"]


def api_key(row: ApiKey) -> dict[str, Any]:
    """What get_api_key_info shows. `scopes` is ours: the vendor's role scopes have no meaning here."""
    return {
        "name": row.name,
        "curve_type": row.curve,
        "key": row.public_key,
        "callback_url": "",
        "valid_ips": list(row.valid_ips),
        "created_timestamp": milliseconds(row.created_at),
        "updated_timestamp": milliseconds(row.updated_at),
        "expired_timestamp": milliseconds(row.expires_at) if row.expires_at else None,
        "role_scopes": [],
        "scopes": list(row.scopes),
    }
