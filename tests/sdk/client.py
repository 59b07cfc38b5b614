"""What every part of the flow does with the vendor's SDK: call, keep the answer, wait for a request."""

import json
import time
from collections.abc import Callable
from typing import Any

import cobo_waas2
from cobo_waas2 import (
    CreateKeyShareHolder,
    CreateKeyShareHolderGroupRequest,
    CreateMpcVaultRequest,
    CreateTssRequestRequest,
    KeyShareHolderGroupType,
    KeyShareHolderType,
    MPCVaultType,
    SourceGroup,
    TSSRequestType,
)

TERMINAL = ("Success", "KeyGeneratingFailed", "KeyHolderConfirmationFailed")


class Client:
    """The SDK with only host and response key changed; results, types and errors by the name of their step.

    parameters: host (with /v2), secret (hex, Ed25519), response_key (hex), nodes {name: id}; label: what the
    names of vaults and projects begin with; wait_s: how long a request may take (default 60).
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        class SelfHosted(cobo_waas2.Configuration):  # type: ignore[misc]
            resp_pubkey = parameters["response_key"]

        configuration = SelfHosted(api_private_key=parameters["secret"], host=parameters["host"])
        self.client = cobo_waas2.ApiClient(configuration)
        self.mpc = cobo_waas2.WalletsMPCWalletsApi(self.client)
        self.developers = cobo_waas2.DevelopersApi(self.client)
        self.nodes: dict[str, str] = parameters["nodes"]
        self.label: str = parameters["label"]
        self.wait_s: float = parameters.get("wait_s", 60)
        self.results: dict[str, Any] = {}
        self.types: dict[str, str] = {}
        self.errors: dict[str, Any] = {}

    def vault(self, name: str, step: str) -> str:
        body = CreateMpcVaultRequest(name=f"{self.label} {name}", vault_type=MPCVaultType("Org-Controlled"))
        vault = self.keep(step, self.mpc.create_mpc_vault(create_mpc_vault_request=body))
        return str(vault["vault_id"])

    def group(
        self, vault_id: str, names: list[str], threshold: int, step: str, kind: str = "MainGroup"
    ) -> str:
        body = CreateKeyShareHolderGroupRequest(
            key_share_holder_group_type=KeyShareHolderGroupType(kind),
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

    def ask(
        self, vault_id: str, kind: str, target: str, source: str = "", names: list[str] | None = None
    ) -> Any:
        """Create a TSS request; `names` are the source holders, None leaves their choice to the service."""
        body = CreateTssRequestRequest(
            type=TSSRequestType(kind), target_key_share_holder_group_id=target, description=f"SDK {kind}"
        )
        if source:
            ids = None if names is None else [self.nodes[name] for name in names]
            body.source_key_share_holder_group = SourceGroup(
                key_share_holder_group_id=source, tss_node_ids=ids
            )
        return self.mpc.create_tss_request(vault_id, create_tss_request_request=body)

    def request(
        self,
        vault_id: str,
        kind: str,
        target: str,
        step: str,
        source: str = "",
        names: list[str] | None = None,
    ) -> None:
        """Create a TSS request and wait for its end; keeps `step` and `step`_end."""
        made = self.keep(step, self.ask(vault_id, kind, target, source, names))
        ended = self.until(
            lambda: self.mpc.get_tss_request_by_id(vault_id, made["tss_request_id"]),
            lambda request: request.status.value in TERMINAL,
        )
        if self.keep(f"{step}_end", ended)["status"] != "Success":
            raise SystemExit(f"{step} did not succeed: {self.results[f'{step}_end']}")

    def until(self, read: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
        """What `read` gives once it is `done`, or after `wait_s` seconds."""
        deadline = time.monotonic() + self.wait_s
        while True:
            answer = read()
            if done(answer) or time.monotonic() >= deadline:
                return answer
            time.sleep(0.1)

    def keep(self, step: str, answer: Any) -> Any:
        """Keep an answer and its type; the SDK gives None for a status that it did not expect, silently."""
        if answer is None:
            raise SystemExit(f"{step}: the SDK understood no answer")
        if isinstance(answer, list):
            plain = [item.to_dict() for item in answer]
            self.types[step] = f"list of {', '.join(sorted({type(item).__name__ for item in answer}))}"
        else:
            plain = answer.to_dict()
            self.types[step] = type(answer).__name__
        self.results[step] = json.loads(json.dumps(plain, default=_plain))
        if _unknown(self.results[step]):
            raise SystemExit(f"{step}: the SDK does not know a value of {self.results[step]}")
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


def _unknown(value: Any) -> bool:
    """The SDK reads an enumeration value that it does not know as UNKNOWN, which is the text "None"."""
    if isinstance(value, dict):
        return any(_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_unknown(item) for item in value)
    return bool(value == "None")
