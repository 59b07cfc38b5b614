"""A group's own paths, and the vault's policy: what may happen to them depends on the vault's requests."""

from typing import Any, ClassVar

from tss import groups
from vaults import representation, selectors
from vaults.api import schemas
from vaults.api.base import ApiView, Call
from vaults.api.operations import (
    BOOLEAN,
    NODE_ID,
    TEXT,
    Operation,
    answer_object,
    array,
    body_object,
    choice,
    ref,
)
from vaults.api.views import group_of, vault_of
from vaults.errors import invalid
from wire.intent import CONVERTED, RETIRED

_UPGRADE = "UpgradeToMainGroup"
_HANDLINGS = {"Invalidate": RETIRED, "ConvertToSigningGroup": CONVERTED}
_DEFAULT_HANDLING = "Invalidate"


class GroupById(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read", "PUT": "mpc_key_group.update"}
    operations: ClassVar = {
        "GET": Operation("One group", "Groups", answer=ref("KeyShareHolderGroup")),
        "PUT": Operation(
            "Ask for a group's promotion",
            "Groups",
            body=body_object(
                {"update_key_share_holder_group_action": choice(_UPGRADE)},
                {"original_main_group_handling": choice(*_HANDLINGS), "accept_overlap": BOOLEAN},
            ),
            answer=schemas.group(pending_request_id=TEXT),
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.group(group_of(call, ids))

    def answer_put(self, call: Call, **ids: str) -> Any:
        group = group_of(call, ids)
        body = call.body()
        if body.text("update_key_share_holder_group_action") != _UPGRADE:
            raise invalid("update_key_share_holder_group_action", f"must be {_UPGRADE}")
        handling = body.optional_text("original_main_group_handling") or _DEFAULT_HANDLING
        if handling not in _HANDLINGS:
            raise invalid("original_main_group_handling", f"must be one of {', '.join(_HANDLINGS)}")
        request = groups.upgrade_group(
            actor=call.actor,
            group=group,
            original_main=_HANDLINGS[handling],
            accept_overlap=body.boolean("accept_overlap"),
        )
        # Unchanged until the holders have approved: the request is where to look.
        return {**representation.group(group), "pending_request_id": request.id}


class GroupDelete(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.delete"}
    operations: ClassVar = {
        "POST": Operation("Delete a group", "Groups", answer=answer_object({"submitted": BOOLEAN}))
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        groups.delete_group(actor=call.actor, group=group_of(call, ids))
        return {"submitted": True}


class HolderReplace(ApiView):
    """The node that takes a holder's place; native."""

    scopes: ClassVar = {"POST": "mpc_key_group.update"}
    operations: ClassVar = {
        "POST": Operation(
            "Name the node that shall take a holder's place",
            "Groups",
            body=body_object({"new_tss_node_id": NODE_ID}),
            answer=schemas.group(also_holds=array(schemas.membership())),
        )
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        group = group_of(call, ids)
        holder = selectors.get_member(group=group, tss_node_id=ids["tss_node_id"])
        new_node_id = call.body().text("new_tss_node_id")
        groups.replace_holder(actor=call.actor, holder=holder, new_tss_node_id=new_node_id)
        changed = selectors.get_group(vault=group.vault, group_id=str(group.id))
        elsewhere = selectors.memberships_elsewhere(
            organisation=call.organisation, tss_node_id=holder.node_id, group=group
        )
        return {
            **representation.group(changed),
            "also_holds": [representation.membership(each) for each in elsewhere],
        }


class VaultPolicy(ApiView):
    """The policy that governs a vault, and its rules while there is no key yet; native."""

    scopes: ClassVar = {"GET": "mpc_vault.read", "PUT": "mpc_vault.update"}
    operations: ClassVar = {
        "GET": Operation("The policy in force", "Vaults", answer=ref("Policy")),
        "PUT": Operation(
            "Set the first policy's rules", "Vaults", body=schemas.POLICY_CHANGES, answer=ref("Policy")
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.policy(vault_of(call, ids["vault_id"]))

    def answer_put(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        changes = call.body().fields()
        return representation.policy(groups.set_first_policy(actor=call.actor, vault=vault, changes=changes))
