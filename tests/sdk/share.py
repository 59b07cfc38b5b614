"""A key's further groups: KeyGenFromKeyGroup, a replaced holder, Recovery, a new Main group, deletion."""

from functools import partial
from typing import Any

from cobo_waas2 import (
    KeyShareHolderGroupType,
    OriginalMainGroupHandling,
    UpdateGroupAction,
    UpdateKeyShareHolderGroupByIdRequest,
)

from tests.sdk.client import Client


class Share(Client):
    """Begins with the key of `vault_id`, whose MainGroup `main_id` is alice, bob and carol, 2 of 3.

    Every node has pinned the vault's anchor.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        super().__init__(parameters)
        self.vault_id: str = parameters["vault_id"]
        self.main_id: str = parameters["main_id"]

    def run(self) -> None:
        self.keep("vault", self.mpc.get_mpc_vault_by_id(self.vault_id))
        first, second, recovery = self.further_groups()
        self.replace_holder(recovery)
        new_main = self.recover_to_new_main(recovery)
        self.upgrade(first, second, recovery)
        self.delete(recovery, new_main, second)
        self.keep("vault_at_the_end", self.mpc.get_mpc_vault_by_id(self.vault_id))

    def further_groups(self) -> tuple[str, str, str]:
        """Two Signing groups and a Recovery group, with source holders named and left to the service."""
        first = self.group(self.vault_id, ["alice", "dave"], 2, "signing", "SigningGroup")
        self.source_failures(first)
        self.share("signing_key", first, ["alice", "bob"])
        second = self.group(self.vault_id, ["bob", "erin"], 2, "second_signing", "SigningGroup")
        self.share("second_signing_key", second)
        members = ["alice", "dave", "service"]
        recovery = self.group(self.vault_id, members, 2, "recovery", "RecoveryGroup")
        self.share("recovery_key", recovery)
        self.fail(
            "source_not_main",
            lambda: self.ask(self.vault_id, "KeyGenFromKeyGroup", second, recovery),
        )
        for kind in ("MainGroup", "SigningGroup", "RecoveryGroup"):
            self.groups(kind, f"groups_{kind}")
        self.keep("holders", self.mpc.list_key_share_holders(self.vault_id, limit=50))
        return first, second, recovery

    def source_failures(self, target: str) -> None:
        kind = "KeyGenFromKeyGroup"
        self.fail("no_source", lambda: self.ask(self.vault_id, kind, target))
        for step, names in (
            ("source_too_many", ["alice", "bob", "carol"]),
            ("source_too_few", ["alice"]),
            ("source_twice", ["alice", "alice"]),
            ("source_stranger", ["alice", "erin"]),
        ):
            self.fail(step, partial(self.ask, self.vault_id, kind, target, self.main_id, names))

    def share(self, step: str, target: str, names: list[str] | None = None) -> None:
        self.request(self.vault_id, "KeyGenFromKeyGroup", target, step, self.main_id, names)
        self.keep(f"{step}_group", self.mpc.get_key_share_holder_group_by_id(self.vault_id, target))
        self.keep(
            f"{step}_requests",
            self.mpc.list_tss_requests(self.vault_id, key_share_holder_group_id=target),
        )

    def replace_holder(self, recovery: str) -> None:
        """erin takes carol's place in the Main group."""
        self.native_replace("carol", "erin")
        carol = self.nodes["carol"]
        self.keep("changed", self.mpc.get_key_share_holder_by_tss_node_id(self.vault_id, carol))
        self.fail(
            "recovery_from_main",
            lambda: self.ask(self.vault_id, "Recovery", self.main_id, self.main_id),
        )
        names = ["dave", "service"]
        self.request(self.vault_id, "Recovery", self.main_id, "recovered", recovery, names)
        self.keep("recovered_group", self.mpc.get_key_share_holder_group_by_id(self.vault_id, self.main_id))

    def native_replace(self, old: str, new: str) -> None:
        """A call that the vendor does not have, signed and verified by the SDK like all others."""
        call = self.client.param_serialize(
            method="POST",
            resource_path="/vaults/{vault_id}/groups/{group_id}/holders/{tss_node_id}/replace",
            path_params={
                "vault_id": self.vault_id,
                "group_id": self.main_id,
                "tss_node_id": self.nodes[old],
            },
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body={"new_tss_node_id": self.nodes[new]},
        )
        response = self.client.call_api(*call)
        response.read()
        self.client.response_deserialize(response, {"201": "object", "4XX": "ErrorResponse"})

    def recover_to_new_main(self, recovery: str) -> str:
        new = self.group(self.vault_id, ["bob", "dave", "erin"], 2, "new_main")
        self.fail("key_gen_into_new_main", lambda: self.ask(self.vault_id, "KeyGen", new))
        self.request(self.vault_id, "Recovery", new, "recovered_anew", recovery)
        self.keep("new_main_group", self.mpc.get_key_share_holder_group_by_id(self.vault_id, new))
        self.groups("MainGroup", "main_groups_after_recovery")
        return new

    def upgrade(self, first: str, second: str, recovery: str) -> None:
        self.promote(first, "converting", "ConvertToSigningGroup")
        self.groups("MainGroup", "main_groups_after_converting")
        self.groups("SigningGroup", "signing_groups_after_converting")
        self.promote(second, "invalidating")
        self.groups("MainGroup", "main_groups_after_invalidating")
        self.groups("SigningGroup", "signing_groups_after_invalidating")
        self.fail("upgrade_of_recovery", lambda: self.update(recovery))

    def promote(self, group_id: str, step: str, handling: str = "") -> None:
        """UpgradeToMainGroup opens an intent (R16): the group is Main once both groups have approved it."""
        self.keep(step, self.update(group_id, handling))
        promoted = self.until(
            lambda: self.mpc.get_key_share_holder_group_by_id(self.vault_id, group_id),
            lambda group: group.type.value == "MainGroup",
        )
        self.keep(f"{step}_end", promoted)

    def update(self, group_id: str, handling: str = "") -> Any:
        body = UpdateKeyShareHolderGroupByIdRequest(
            update_key_share_holder_group_action=UpdateGroupAction("UpgradeToMainGroup")
        )
        if handling:
            body.original_main_group_handling = OriginalMainGroupHandling(handling)
        return self.mpc.update_key_share_holder_group_by_id(self.vault_id, group_id, body)

    def delete(self, recovery: str, signing: str, last: str) -> None:
        """Everything may go but the last group that can sign."""
        for step, group_id in (("deleted_recovery", recovery), ("deleted_signing", signing)):
            self.keep(step, self.mpc.delete_key_share_holder_group_by_id(self.vault_id, group_id))
        self.keep("groups_at_the_end", self.mpc.list_key_share_holder_groups(self.vault_id))
        self.fail("delete_last", lambda: self.mpc.delete_key_share_holder_group_by_id(self.vault_id, last))

    def groups(self, kind: str, step: str) -> None:
        type = KeyShareHolderGroupType(kind)
        listed = self.mpc.list_key_share_holder_groups(self.vault_id, key_share_holder_group_type=type)
        self.keep(step, listed)
