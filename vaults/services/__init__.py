"""Everything that changes organisations, people, API keys, nodes, vaults and groups.

Each function is one transaction with its audit row last, takes its actor explicitly and raises ServiceError.
"""

from vaults.services.api_keys import (
    GeneratedKey,
    generate_api_key,
    register_api_key,
    revoke_api_key,
)
from vaults.services.group_changes import (
    promote_group,
    replace_holder,
    retire_group,
    schedule_refresh,
    supersede_main,
)
from vaults.services.groups import HolderChoice, count_group, create_group
from vaults.services.nodes import assign_node_owner, create_enrolment_code, enrol_node, publish_card
from vaults.services.organisations import (
    Administrator,
    add_member,
    change_role,
    create_admin,
    create_organisation,
    create_user,
    set_email,
    set_service_signer,
)
from vaults.services.vaults import (
    announce_policy,
    announce_vault,
    create_project,
    create_vault,
    hold_vault,
    set_first_policy,
    update_project,
    update_vault,
)

__all__ = [
    "Administrator",
    "GeneratedKey",
    "HolderChoice",
    "add_member",
    "announce_policy",
    "announce_vault",
    "assign_node_owner",
    "change_role",
    "count_group",
    "create_admin",
    "create_enrolment_code",
    "create_group",
    "create_organisation",
    "create_project",
    "create_user",
    "create_vault",
    "enrol_node",
    "generate_api_key",
    "hold_vault",
    "promote_group",
    "publish_card",
    "register_api_key",
    "replace_holder",
    "retire_group",
    "revoke_api_key",
    "schedule_refresh",
    "set_email",
    "set_first_policy",
    "set_service_signer",
    "supersede_main",
    "update_project",
    "update_vault",
]
