"""Everything that changes organisations, people, API keys, nodes, vaults and groups.

Each function is one transaction with its audit row last, takes its actor explicitly and raises ServiceError.
"""

from vaults.services.api_keys import (
    GeneratedKey,
    generate_api_key,
    register_api_key,
    revoke_api_key,
)
from vaults.services.groups import HolderChoice, create_group
from vaults.services.nodes import assign_node_owner, create_enrolment_code, enrol_node
from vaults.services.organisations import (
    Administrator,
    add_member,
    change_role,
    create_admin,
    create_organisation,
    create_user,
    set_service_signer,
)
from vaults.services.vaults import create_project, create_vault, update_project, update_vault

__all__ = [
    "Administrator",
    "GeneratedKey",
    "HolderChoice",
    "add_member",
    "assign_node_owner",
    "change_role",
    "create_admin",
    "create_enrolment_code",
    "create_group",
    "create_organisation",
    "create_project",
    "create_user",
    "create_vault",
    "enrol_node",
    "generate_api_key",
    "register_api_key",
    "revoke_api_key",
    "set_service_signer",
    "update_project",
    "update_vault",
]
