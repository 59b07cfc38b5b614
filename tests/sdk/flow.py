"""Drives a live service with the vendor's own SDK; run by the Python of the SDK's virtual environment.

Reads JSON from standard input: host (with /v2), secret (hex, Ed25519), response_key (hex), nodes {name: id}
with `service` and at least five more, and offline: the name of a node that is enrolled but does not answer
(default erin), so that a request with it can be cancelled. `wait_s`: how long a KeyGen may take (default 60);
0 does not wait. Prints one JSON object: {"results": {step: answer}, "errors": {step: exception}}.

Only host and response key differ from what the vendor documents.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cobo_waas2
from cobo_waas2 import (
    CreateKeyShareHolder,
    CreateKeyShareHolderGroupRequest,
    CreateMpcProjectRequest,
    CreateMpcVaultRequest,
    CreateTssRequestRequest,
    CurveType,
    KeyShareHolderGroupType,
    KeyShareHolderType,
    MPCVaultType,
    TSSRequestType,
    UpdateKeyShareHolderGroupByIdRequest,
    UpdateMpcProjectByIdRequest,
    UpdateMpcVaultByIdRequest,
)

TERMINAL = ("Success", "KeyGeneratingFailed", "KeyHolderConfirmationFailed")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Flow:
    """The calls in their order, each answer kept under the name of its step."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        class SelfHosted(cobo_waas2.Configuration):  # type: ignore[misc]
            resp_pubkey = parameters["response_key"]

        configuration = SelfHosted(api_private_key=parameters["secret"], host=parameters["host"])
        client = cobo_waas2.ApiClient(configuration)
        self.mpc = cobo_waas2.WalletsMPCWalletsApi(client)
        self.developers = cobo_waas2.DevelopersApi(client)
        self.nodes: dict[str, str] = parameters["nodes"]
        self.offline: str = parameters.get("offline", "erin")
        self.wait_s: float = parameters.get("wait_s", 60)
        self.results: dict[str, Any] = {}
        self.errors: dict[str, Any] = {}

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
        body = CreateMpcProjectRequest(name="SDK project", participants=3, threshold=2)
        project = self.keep("project", self.mpc.create_mpc_project(create_mpc_project_request=body))
        project_id = project["project_id"]
        self.keep("project_read", self.mpc.get_mpc_project_by_id(project_id))
        renamed = UpdateMpcProjectByIdRequest(name="SDK project renamed & more/é")
        self.keep("project_updated", self.mpc.update_mpc_project_by_id(project_id, renamed))
        self.keep("projects", self.mpc.list_mpc_projects(limit=50))
        return str(project_id)

    def vaults(self, project_id: str) -> str:
        user = CreateMpcVaultRequest(
            name="SDK users", vault_type=MPCVaultType("User-Controlled"), project_id=project_id
        )
        self.keep("user_vault", self.mpc.create_mpc_vault(create_mpc_vault_request=user))
        self.keep(
            "user_vaults",
            self.mpc.list_mpc_vaults(vault_type=MPCVaultType("User-Controlled"), project_id=project_id),
        )
        vault_id = self.vault("SDK vault", "vault")
        renamed = UpdateMpcVaultByIdRequest(name="SDK vault renamed é/&")
        self.keep("vault_updated", self.mpc.update_mpc_vault_by_id(vault_id, renamed))
        self.keep("vault_read", self.mpc.get_mpc_vault_by_id(vault_id))
        kind = MPCVaultType("Org-Controlled")
        first = self.keep("vaults", self.mpc.list_mpc_vaults(vault_type=kind, limit=1))
        self.vault("SDK second vault", "second_vault")
        first = self.keep("vaults_first_page", self.mpc.list_mpc_vaults(vault_type=kind, limit=1))
        after = first["pagination"]["after"]
        second = self.mpc.list_mpc_vaults(vault_type=kind, limit=1, after=after)
        back = self.keep("vaults_second_page", second)["pagination"]["before"]
        self.keep("vaults_back", self.mpc.list_mpc_vaults(vault_type=kind, limit=1, before=back))
        return vault_id

    def vault(self, name: str, step: str) -> str:
        body = CreateMpcVaultRequest(name=name, vault_type=MPCVaultType("Org-Controlled"))
        vault = self.keep(step, self.mpc.create_mpc_vault(create_mpc_vault_request=body))
        return str(vault["vault_id"])

    def group(self, vault_id: str, names: list[str], threshold: int, step: str) -> str:
        body = CreateKeyShareHolderGroupRequest(
            key_share_holder_group_type=KeyShareHolderGroupType("MainGroup"),
            participants=len(names),
            threshold=threshold,
            key_share_holders=[
                CreateKeyShareHolder(
                    name=name,
                    type=KeyShareHolderType("Cobo" if name == "service" else "API"),
                    tss_node_id=self.nodes[name],
                    signer=position == 0,
                )
                for position, name in enumerate(names)
            ],
        )
        group = self.mpc.create_key_share_holder_group(vault_id, create_key_share_holder_group_request=body)
        return str(self.keep(step, group)["key_share_holder_group_id"])

    def request(self, vault_id: str, group_id: str, step: str) -> str:
        body = CreateTssRequestRequest(
            type=TSSRequestType("KeyGen"), target_key_share_holder_group_id=group_id, description=step
        )
        made = self.mpc.create_tss_request(vault_id, create_tss_request_request=body)
        return str(self.keep(step, made)["tss_request_id"])

    def finish(self, vault_id: str, request_id: str, step: str) -> None:
        deadline = time.monotonic() + self.wait_s
        while True:
            request = self.mpc.get_tss_request_by_id(vault_id, request_id)
            if request.status.value in TERMINAL or time.monotonic() >= deadline:
                break
            time.sleep(0.1)
        self.keep(step, request)

    def key_gen(self, vault_id: str) -> None:
        members = [name for name in self.nodes if name not in ("service", self.offline)][:3]
        group_id = self.group(vault_id, members, 2, "group")
        self.keep("group_read", self.mpc.get_key_share_holder_group_by_id(vault_id, group_id))
        main = KeyShareHolderGroupType("MainGroup")
        self.keep("groups", self.mpc.list_key_share_holder_groups(vault_id, key_share_holder_group_type=main))
        self.keep("holders", self.mpc.list_key_share_holders(vault_id, key_share_holder_group_ids=group_id))
        self.keep("holder", self.mpc.get_key_share_holder_by_tss_node_id(vault_id, self.nodes[members[0]]))
        request_id = self.request(vault_id, group_id, "key_gen")
        self.keep(
            "requests", self.mpc.list_tss_requests(vault_id, key_share_holder_group_id=group_id, limit=10)
        )
        self.finish(vault_id, request_id, "key_gen_end")
        self.keep("vault_with_key", self.mpc.get_mpc_vault_by_id(vault_id))
        self.keep("group_with_key", self.mpc.get_key_share_holder_group_by_id(vault_id, group_id))

    def key_gen_with_service(self) -> None:
        vault_id = self.vault("SDK vault with service", "service_vault")
        own = [name for name in self.nodes if name not in ("service", self.offline)][:4]
        group_id = self.group(vault_id, [*own, "service"], 3, "service_group")
        request_id = self.request(vault_id, group_id, "service_key_gen")
        self.finish(vault_id, request_id, "service_key_gen_end")
        self.keep("service_vault_with_key", self.mpc.get_mpc_vault_by_id(vault_id))

    def cancel(self) -> None:
        vault_id = self.vault("SDK vault to cancel", "cancel_vault")
        members = [name for name in self.nodes if name not in ("service", self.offline)][:2]
        group_id = self.group(vault_id, [*members, self.offline], 2, "cancel_group")
        request_id = self.request(vault_id, group_id, "to_cancel")
        self.keep("cancelled", self.mpc.cancel_tss_request_by_id(vault_id, request_id))
        self.keep("cancelled_read", self.mpc.get_tss_request_by_id(vault_id, request_id))
        self.fail("cancelled_twice", lambda: self.mpc.cancel_tss_request_by_id(vault_id, request_id))
        self.group_failures(vault_id, group_id)

    def group_failures(self, vault_id: str, group_id: str) -> None:
        """What exists as a call, but not yet as a deed."""
        update = UpdateKeyShareHolderGroupByIdRequest(
            update_key_share_holder_group_action="UpgradeToMainGroup"
        )
        self.fail(
            "group_update",
            lambda: self.mpc.update_key_share_holder_group_by_id(vault_id, group_id, update),
        )
        self.fail("group_delete", lambda: self.mpc.delete_key_share_holder_group_by_id(vault_id, group_id))
        for type in ("KeyGenFromKeyGroup", "Recovery"):
            body = CreateTssRequestRequest(
                type=TSSRequestType(type), target_key_share_holder_group_id=group_id
            )
            self.fail(type, partial(self.mpc.create_tss_request, vault_id, body))

    def failures(self, vault_id: str) -> None:
        kind = MPCVaultType("Org-Controlled")
        twice = CreateMpcVaultRequest(name="SDK second vault", vault_type=kind)
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

    def keep(self, step: str, answer: Any) -> Any:
        """Keep an answer; the SDK gives None for a status that it did not expect, without a word."""
        if answer is None:
            raise SystemExit(f"{step}: the SDK understood no answer")
        plain = [item.to_dict() for item in answer] if isinstance(answer, list) else answer.to_dict()
        self.results[step] = json.loads(json.dumps(plain, default=_plain))
        return self.results[step]

    def fail(self, step: str, call: Callable[[], Any]) -> None:
        """Keep the exception that the call must raise."""
        try:
            answer = call()
        except cobo_waas2.exceptions.ApiException as error:
            data = error.data
            self.errors[step] = {
                "type": type(error).__name__,
                "status": error.status,
                "error_code": getattr(data, "error_code", None),
                "error_message": getattr(data, "error_message", None),
                "error_id": getattr(data, "error_id", None),
            }
        else:
            raise SystemExit(f"{step}: expected an exception, got {answer}")


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else str(value)


def main() -> None:
    # Fails early where the SDK's enumerations are not what the results are compared with.
    CurveType("SECP256K1")
    flow = Flow(json.load(sys.stdin))
    flow.run()
    json.dump({"results": flow.results, "errors": flow.errors}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
