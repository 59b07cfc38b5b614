"""Projects, vaults, holders and KeyGen, and what the service must refuse."""

from typing import Any

from cobo_waas2 import (
    CreateKeyShareHolderGroupRequest,
    CreateMpcProjectRequest,
    CreateMpcVaultRequest,
    KeyShareHolderGroupType,
    MPCVaultType,
    UpdateMpcProjectByIdRequest,
    UpdateMpcVaultByIdRequest,
)

from tests.sdk.client import Client

UNKNOWN = "00000000-0000-4000-8000-000000000000"
MEMBERS = ["alice", "bob", "carol"]


class Create(Client):
    """The calls up to a key; `offline` names a node that does not answer: its request can be cancelled."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        super().__init__(parameters)
        self.offline: str = parameters["offline"]

    def run(self) -> None:
        self.keep("api_key_info", self.developers.get_api_key_info())
        self.keep("service_holders", self.mpc.list_cobo_key_holders())
        project_id = self.projects()
        vault_id = self.vaults(project_id)
        self.key_gen(vault_id)
        self.key_gen_with_service()
        self.cancel()
        self.failures(vault_id)

    def projects(self) -> str:
        body = CreateMpcProjectRequest(name=f"{self.label} project", participants=3, threshold=2)
        project = self.keep("project", self.mpc.create_mpc_project(create_mpc_project_request=body))
        project_id = project["project_id"]
        self.keep("project_read", self.mpc.get_mpc_project_by_id(project_id))
        renamed = UpdateMpcProjectByIdRequest(name=f"{self.label} project renamed & more/é")
        self.keep("project_updated", self.mpc.update_mpc_project_by_id(project_id, renamed))
        self.keep("projects", self.mpc.list_mpc_projects(limit=50))
        return str(project_id)

    def vaults(self, project_id: str) -> str:
        kind = MPCVaultType("User-Controlled")
        user = CreateMpcVaultRequest(name=f"{self.label} users", vault_type=kind, project_id=project_id)
        self.keep("user_vault", self.mpc.create_mpc_vault(create_mpc_vault_request=user))
        self.keep("user_vaults", self.mpc.list_mpc_vaults(vault_type=kind, project_id=project_id))
        vault_id = self.vault("vault", "vault")
        renamed = UpdateMpcVaultByIdRequest(name=f"{self.label} renamed é/&")
        self.keep("vault_updated", self.mpc.update_mpc_vault_by_id(vault_id, renamed))
        self.keep("vault_read", self.mpc.get_mpc_vault_by_id(vault_id))
        kind = MPCVaultType("Org-Controlled")
        self.keep("vaults", self.mpc.list_mpc_vaults(vault_type=kind, limit=1))
        self.vault("second vault", "second_vault")
        first = self.keep("vaults_first_page", self.mpc.list_mpc_vaults(vault_type=kind, limit=1))
        after = first["pagination"]["after"]
        second = self.mpc.list_mpc_vaults(vault_type=kind, limit=1, after=after)
        back = self.keep("vaults_second_page", second)["pagination"]["before"]
        self.keep("vaults_back", self.mpc.list_mpc_vaults(vault_type=kind, limit=1, before=back))
        return vault_id

    def key_gen(self, vault_id: str) -> None:
        group_id = self.group(vault_id, MEMBERS, 2, "group")
        self.keep("group_read", self.mpc.get_key_share_holder_group_by_id(vault_id, group_id))
        main = KeyShareHolderGroupType("MainGroup")
        self.keep("groups", self.mpc.list_key_share_holder_groups(vault_id, key_share_holder_group_type=main))
        self.keep("holders", self.mpc.list_key_share_holders(vault_id, key_share_holder_group_ids=group_id))
        self.keep("holder", self.mpc.get_key_share_holder_by_tss_node_id(vault_id, self.nodes["alice"]))
        self.fail(
            "key_gen_with_source", lambda: self.ask(vault_id, "KeyGen", group_id, group_id, MEMBERS[:2])
        )
        self.request(vault_id, "KeyGen", group_id, "key_gen")
        self.keep(
            "requests", self.mpc.list_tss_requests(vault_id, key_share_holder_group_id=group_id, limit=10)
        )
        self.keep("vault_with_key", self.mpc.get_mpc_vault_by_id(vault_id))
        self.keep("group_with_key", self.mpc.get_key_share_holder_group_by_id(vault_id, group_id))
        self.fail("key_gen_twice", lambda: self.ask(vault_id, "KeyGen", group_id))

    def key_gen_with_service(self) -> None:
        vault_id = self.vault("with service", "service_vault")
        group_id = self.group(vault_id, [*MEMBERS, "dave", "service"], 3, "service_group")
        self.request(vault_id, "KeyGen", group_id, "service_key_gen")
        self.keep("service_vault_with_key", self.mpc.get_mpc_vault_by_id(vault_id))

    def cancel(self) -> None:
        vault_id = self.vault("to cancel", "cancel_vault")
        group_id = self.group(vault_id, [*MEMBERS[:2], self.offline], 2, "cancel_group")
        made = self.keep("to_cancel", self.ask(vault_id, "KeyGen", group_id))
        request_id = made["tss_request_id"]
        self.fail("second_open_request", lambda: self.ask(vault_id, "KeyGen", group_id))
        self.fail("group_in_use", lambda: self.mpc.delete_key_share_holder_group_by_id(vault_id, group_id))
        self.keep("cancelled", self.mpc.cancel_tss_request_by_id(vault_id, request_id))
        self.keep("cancelled_read", self.mpc.get_tss_request_by_id(vault_id, request_id))
        self.fail("cancelled_twice", lambda: self.mpc.cancel_tss_request_by_id(vault_id, request_id))
        self.keep("group_deleted", self.mpc.delete_key_share_holder_group_by_id(vault_id, group_id))
        self.keep("groups_after_delete", self.mpc.list_key_share_holder_groups(vault_id))

    def failures(self, vault_id: str) -> None:
        kind = MPCVaultType("Org-Controlled")
        twice = CreateMpcVaultRequest(name=f"{self.label} second vault", vault_type=kind)
        self.fail("name_taken", lambda: self.mpc.create_mpc_vault(twice))
        self.fail("no_body", lambda: self.mpc.create_mpc_vault())
        self.fail("unknown_vault", lambda: self.mpc.get_mpc_vault_by_id(UNKNOWN))
        self.fail("odd_id", lambda: self.mpc.get_mpc_vault_by_id("a/b c|"))
        body = CreateKeyShareHolderGroupRequest(
            key_share_holder_group_type=KeyShareHolderGroupType("MainGroup"),
            participants=3,
            threshold=1,
            key_share_holders=[],
        )
        self.fail("threshold", lambda: self.mpc.create_key_share_holder_group(vault_id, body))
