"""Runs tests/sdk in an SDK's own virtual environment, and knows what the vendor documents of its answers."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from quickstart.processes import ROOT
from tests.live.stack import Stack

# SDK version: virtual environment (bin/_bootstrap.py). 1.40 reads errors in another way than later ones do.
ENVIRONMENTS = {"1.46.0": ".venv-cobo-waas2", "1.40.0": ".venv-cobo-waas2-140"}

_HOLDER = {"name", "tss_node_id", "type", "online", "signer", "status"}
_GROUP = {
    "key_share_holder_group_id",
    "type",
    "key_share_holders",
    "participants",
    "threshold",
    "status",
    "created_timestamp",
}
_PAGE = {"data", "pagination"}
# What an answer of each type always holds; what the vendor calls optional is left out.
FIELDS = {
    "GetApiKeyInfo200Response": {"name", "curve_type", "key", "created_timestamp", "updated_timestamp"},
    "MPCProject": {"project_id", "org_id", "name", "participants", "threshold", "created_timestamp"},
    "MPCVault": {"vault_id", "name", "type", "created_timestamp"},
    "KeyShareHolder": _HOLDER,
    "list of KeyShareHolder": _HOLDER,
    "KeyShareHolderGroup": _GROUP,
    "TSSRequest": {
        "tss_request_id",
        "target_key_share_holder_group_id",
        "type",
        "status",
        "description",
        "created_timestamp",
    },
    "DeleteKeyShareHolderGroupById201Response": {"submitted"},
    "ListMpcProjects200Response": _PAGE,
    "WebhookEndpoint": {
        "endpoint_id",
        "url",
        "subscribed_events",
        "status",
        "created_timestamp",
        "description",
    },
    "WebhookEvent": {"event_id", "url", "created_timestamp", "type", "data", "status"},
    "ListWebhookEndpoints200Response": _PAGE,
    "ListWebhookEvents200Response": _PAGE,
    "ListWebhookEventLogs200Response": _PAGE,
    "ListCallbackMessages200Response": _PAGE,
    "list of ListWebhookEventDefinitions200ResponseInner": {"event_type", "description"},
    "TriggerTestWebhookEvent201Response": {"triggered"},
    "RetryWebhookEventById201Response": {"retried"},
    "ListMpcVaults200Response": _PAGE,
    "ListKeyShareHolderGroups200Response": _PAGE,
    "ListKeyShareHolders200Response": _PAGE,
    "ListTssRequests200Response": _PAGE,
}


@dataclass(frozen=True)
class Seen:
    """What every call of a part gave or raised, by step."""

    version: str
    results: dict[str, Any]
    types: dict[str, str]
    errors: dict[str, Any]


def drive(stack: Stack, version: str, part: str, **parameters: Any) -> Seen:
    """Run a part of tests/sdk with the SDK of `version`."""
    common = {
        "host": f"{stack.site_url}/v2",
        "secret": stack.setup["api_secret"],
        "response_key": stack.response_key,
        "nodes": stack.node_ids,
        "label": f"SDK {version}",
    }
    done = subprocess.run(
        [str(ROOT / ENVIRONMENTS[version] / "bin" / "python"), "-m", "tests.sdk", part],
        input=json.dumps(common | parameters),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Seen(**json.loads(done.stdout))


def assert_documented(seen: Seen) -> None:
    """Every answer is of a documented type and has that type's fields."""
    for step, type_name in seen.types.items():
        answer = seen.results[step]
        for item in answer if isinstance(answer, list) else [answer]:
            missing = FIELDS[type_name] - set(item)
            assert not missing, f"{step}, {type_name}: {missing} are missing"


def assert_error(seen: Seen, step: str, kind: str, code: int) -> None:
    """The SDK raised its typed exception with the whole error body, as from a signed answer."""
    error = seen.errors[step]
    assert (error["type"], error["error_code"]) == (kind, code), error
    assert error["error_message"]
    assert len(error["error_id"]) == 32


def root_keys(vault: dict[str, Any]) -> dict[str, str]:
    """Curve to root extended public key, as the coordinator claims them."""
    return {entry["curve"]: entry["root_pubkey"] for entry in vault.get("root_pubkeys") or []}


def assert_keys(stack: Stack, vault: dict[str, Any], members: tuple[str, ...]) -> None:
    """The vault shows both root keys, and every member's own store says the same (R3)."""
    keys = root_keys(vault)
    assert set(keys) == {"SECP256K1", "ED25519"}
    for name in members:
        assert {(vault["vault_id"], curve, key) for curve, key in keys.items()} <= stack.stored_keys(name)
