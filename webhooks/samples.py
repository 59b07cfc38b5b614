"""What a test event says: the shape of the real ones, about objects that do not exist."""

from typing import Any

_TSS_REQUEST: dict[str, Any] = {
    "data_type": "TSSRequest",
    "tss_request_id": "20240711114129000132315000003970",
    "source_key_share_holder_group": None,
    "target_key_share_holder_group_id": "00000000-0000-4000-8000-000000000002",
    "type": "KeyGen",
    "status": "Success",
    "description": "test event",
    "created_timestamp": 1720690000000,
}
_VAULT: dict[str, Any] = {
    "data_type": "MPCVault",
    "vault_id": "00000000-0000-4000-8000-000000000001",
    "project_id": None,
    "name": "test event",
    "type": "Org-Controlled",
    "root_pubkeys": [],
    "created_timestamp": 1720690000000,
}


def sample(type: str) -> dict[str, Any]:
    """Data for a test event of the type; `test` tells it from a real one."""
    if ".tss_request." in type:
        data = _TSS_REQUEST
    elif type.startswith("mpc_vaults."):
        data = _VAULT
    else:
        data = {"data_type": "Test"}
    return data | {"test": True}
