"""The shapes of vaults.representation, as the OpenAPI document shows them."""

from vaults.api.operations import (
    BOOLEAN,
    COUNT,
    DOCUMENT,
    HASH,
    NODE_ID,
    TEXT,
    TIME,
    UUID,
    Parameter,
    Schema,
    answer_object,
    array,
    body_object,
    choice,
    nullable,
    ref,
)
from vaults.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from vaults.models import Curve, GroupStatus, GroupType, HolderStatus, KeyCurve, VaultType
from vaults.policies import RULES
from wire.intent import TYPES
from wire.manifest import MAX_PARTICIPANTS
from wire.policy import CREATORS, LEAST_APPROVALS, MAX_GRACE_MS

_CURVE = choice(*Curve.values)
_HOLDER_TYPE = choice("API", "Cobo")
_SHARES = {"threshold": {"type": "integer"}, "participants": {"type": "integer"}}
_NAME = {"type": "string", "minLength": 1, "maxLength": 100}
PARTICIPANTS: Schema = {"type": "integer", "minimum": 2, "maximum": MAX_PARTICIPANTS}
VAULT_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 30}

PAGE = (
    Parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "How many at most",
    ),
    Parameter("after", {"type": "string", "maxLength": 300}, "The cursor `after` of a page before this one"),
    Parameter(
        "before", {"type": "string", "maxLength": 300}, "The cursor `before` of a page behind this one"
    ),
)

_RULES: dict[str, Schema] = {
    "creators": {
        "type": "object",
        "properties": {type: array(choice(*CREATORS)) for type in TYPES},
        "additionalProperties": False,
    },
    "request_lifetime": {"type": "integer", "minimum": 60_000},
    "required_approvals": {"type": "integer", "minimum": LEAST_APPROVALS, "maximum": MAX_PARTICIPANTS},
    "erase_grace": {"type": "integer", "minimum": 0, "maximum": MAX_GRACE_MS},
    "shared_nodes": BOOLEAN,
}
# A misspelt rule is refused, so the body has no other fields.
POLICY_CHANGES: Schema = {
    "type": "object",
    "properties": {name: nullable(_RULES[name]) for name in RULES},
    "additionalProperties": False,
}

_GROUP = {
    "key_share_holder_group_id": UUID,
    "type": choice(*GroupType.values),
    "key_share_holders": array(ref("KeyShareHolder")),
    **_SHARES,
    "status": choice(*GroupStatus.values),
    "created_timestamp": TIME,
    "vault_id": UUID,
    "manifest_hash": HASH,
    "epoch": COUNT,
    "retired": BOOLEAN,
    "refresh_every_days": nullable(COUNT),
    "next_refresh_timestamp": nullable(TIME),
}
_GROUP_WITH_A_KEY = {
    "tss_key_share_groups": array(
        answer_object({"tss_key_share_group_id": TEXT, "curve": _CURVE, "root_pubkey": TEXT})
    )
}
_MEMBERSHIP = {
    "vault_id": UUID,
    "vault_name": TEXT,
    "key_share_holder_group_id": UUID,
    "type": choice(*GroupType.values),
    **_SHARES,
    "retired": BOOLEAN,
    "status": choice(*HolderStatus.values),
    "advice": TEXT,
}


def membership(**more: Schema) -> Schema:
    """Another group that a node is in."""
    return answer_object({**more, **_MEMBERSHIP})


def group(**more: Schema) -> Schema:
    """A group with further fields."""
    return answer_object({**_GROUP, **more}, _GROUP_WITH_A_KEY)


SCHEMAS: dict[str, Schema] = {
    "Error": answer_object(
        {
            "error_code": {"type": "integer"},
            "error_message": TEXT,
            "error_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        },
        {"field": {"type": "string", "description": "Path of the input at fault"}},
    ),
    "Project": answer_object(
        {"project_id": UUID, "org_id": UUID, "name": TEXT, **_SHARES, "created_timestamp": TIME}
    ),
    "NewProject": body_object({"name": _NAME, "participants": PARTICIPANTS, "threshold": PARTICIPANTS}),
    "ProjectName": body_object({"name": _NAME}),
    "Vault": answer_object(
        {
            "vault_id": UUID,
            "project_id": nullable(UUID),
            "name": TEXT,
            "type": choice(*VaultType.values),
            "root_pubkeys": array(answer_object({"root_pubkey": TEXT, "curve": _CURVE})),
            "created_timestamp": TIME,
        }
    ),
    "NewVault": body_object(
        {"name": VAULT_NAME, "vault_type": choice(*VaultType.values)}, {"project_id": UUID}
    ),
    "VaultName": body_object({"name": VAULT_NAME}),
    "KeyShareHolder": answer_object(
        {
            "name": TEXT,
            "tss_node_id": NODE_ID,
            "type": _HOLDER_TYPE,
            "online": BOOLEAN,
            "signer": BOOLEAN,
            "status": choice(*HolderStatus.values),
            "replacement_tss_node_id": nullable(NODE_ID),
        }
    ),
    "KeyShareHolderGroup": group(),
    "NewKeyShareHolderGroup": body_object(
        {
            "key_share_holder_group_type": choice(*GroupType.values),
            "participants": PARTICIPANTS,
            "threshold": PARTICIPANTS,
            "key_share_holders": array(
                body_object({}, {"name": TEXT, "type": TEXT, "tss_node_id": NODE_ID, "signer": BOOLEAN}),
                maxItems=MAX_PARTICIPANTS,
            ),
        }
    ),
    "Policy": answer_object({"vault_id": UUID, "policy": DOCUMENT, "policy_hash": HASH, "canonical": TEXT}),
    "ApiKey": answer_object(
        {
            "name": TEXT,
            "curve_type": choice(*KeyCurve.values),
            "key": TEXT,
            "callback_url": TEXT,
            "valid_ips": array(TEXT),
            "created_timestamp": TIME,
            "updated_timestamp": TIME,
            "expired_timestamp": nullable(TIME),
            "role_scopes": array(TEXT),
            "scopes": array(TEXT),
        }
    ),
}
