"""The vendor's own SDK drives a live service with only host and response key set."""

import json
import subprocess
from typing import Any

import pytest

from quickstart.processes import ROOT
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SDK_PYTHON = ROOT / ".venv-cobo-waas2" / "bin" / "python"
OFFLINE = "erin"


@pytest.fixture(scope="module")
def seen(stack: Stack) -> dict[str, Any]:
    """Run tests/sdk/flow.py in the SDK's own virtual environment; what every call gave or raised."""
    # A request that waits for a node that is away can be cancelled; nobody races it.
    stack.kill(f"node-{OFFLINE}")
    parameters = {
        "host": f"{stack.site_url}/v2",
        "secret": stack.setup["api_secret"],
        "response_key": stack.response_key,
        "nodes": stack.node_ids,
        "offline": OFFLINE,
    }
    done = subprocess.run(
        [str(SDK_PYTHON), str(ROOT / "tests" / "sdk" / "flow.py")],
        input=json.dumps(parameters),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def results(seen: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = seen["results"]
    return found


def test_api_key_and_service_holders(stack: Stack, results: dict[str, Any]) -> None:
    assert results["api_key_info"]["key"] == stack.setup["api_public_key"]
    assert results["api_key_info"]["curve_type"] == "ED25519"
    (service,) = results["service_holders"]
    assert service["tss_node_id"] == stack.node_ids["service"]
    assert service["type"] == "Cobo"


def test_projects(results: dict[str, Any]) -> None:
    project = results["project"]
    assert (project["participants"], project["threshold"]) == (3, 2)
    assert results["project_read"] == project
    assert results["project_updated"] == project | {"name": "SDK project renamed & more/é"}
    assert results["projects"]["pagination"]["total_count"] == 1
    assert results["projects"]["data"] == [results["project_updated"]]


def test_vaults_and_pages(results: dict[str, Any]) -> None:
    vault = results["vault"]
    assert vault["type"] == "Org-Controlled"
    assert not vault.get("root_pubkeys")
    assert results["vault_read"]["name"] == results["vault_updated"]["name"] == "SDK vault renamed é/&"
    first, second = results["vaults_first_page"], results["vaults_second_page"]
    assert first["pagination"]["total_count"] == second["pagination"]["total_count"] == 2
    assert first["data"][0]["vault_id"] != second["data"][0]["vault_id"]
    assert results["vaults_back"]["data"] == first["data"]


def test_group_and_holders(stack: Stack, results: dict[str, Any]) -> None:
    group = results["group"]
    assert (group["type"], group["status"]) == ("MainGroup", "New")
    assert (group["participants"], group["threshold"]) == (3, 2)
    assert not group.get("tss_key_share_groups")
    assert results["group_read"] == group
    assert results["groups"]["data"] == [group]
    ids = [holder["tss_node_id"] for holder in results["holders"]["data"]]
    assert ids == [stack.node_ids[name] for name in ("alice", "bob", "carol")]
    assert results["holder"]["online"] is True


def test_key_gen(stack: Stack, results: dict[str, Any]) -> None:
    made, ended = results["key_gen"], results["key_gen_end"]
    assert made["status"] == "PendingKeyHolderConfirmation"
    assert ended["status"] == "Success", ended
    assert [request["tss_request_id"] for request in results["requests"]["data"]] == [made["tss_request_id"]]
    assert_keys(stack, results["vault_with_key"], ("alice", "bob", "carol"))
    group = results["group_with_key"]
    assert group["status"] == "Valid"
    assert {entry["curve"] for entry in group["tss_key_share_groups"]} == {"SECP256K1", "ED25519"}
    assert all(len(entry["tss_key_share_group_id"]) == 20 for entry in group["tss_key_share_groups"])


def test_3_of_5_with_the_service_signer(stack: Stack, results: dict[str, Any]) -> None:
    assert results["service_group"]["participants"] == 5
    assert results["service_group"]["threshold"] == 3
    assert results["service_key_gen_end"]["status"] == "Success", results["service_key_gen_end"]
    assert_keys(stack, results["service_vault_with_key"], ("alice", "bob", "carol", "dave", "service"))


def test_cancel(results: dict[str, Any]) -> None:
    # The vendor's word for a successful cancellation; later reads tell what became of the request.
    assert results["cancelled"]["status"] == "Success"
    assert results["cancelled_read"]["status"] == "KeyHolderConfirmationFailed"


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ("cancelled_twice", "BadRequestException", 2029),
        ("group_update", "BadRequestException", 2029),
        ("group_delete", "BadRequestException", 2029),
        ("KeyGenFromKeyGroup", "BadRequestException", 2029),
        ("Recovery", "BadRequestException", 2029),
        ("name_taken", "BadRequestException", 2040),
        ("no_body", "BadRequestException", 2003),
        ("unknown_vault", "NotFoundException", 2028),
        ("odd_id", "NotFoundException", 2028),
        ("threshold", "BadRequestException", 2006),
    ],
)
def test_errors_are_typed(seen: dict[str, Any], step: str, kind: str, code: int) -> None:
    error = seen["errors"][step]
    assert (error["type"], error["error_code"]) == (kind, code)
    assert error["error_message"]
    assert len(error["error_id"]) == 32


def assert_keys(stack: Stack, vault: dict[str, Any], members: tuple[str, ...]) -> None:
    """The vault shows both root keys, and every member's own store says the same (R3)."""
    shown = {(vault["vault_id"], entry["curve"], entry["root_pubkey"]) for entry in vault["root_pubkeys"]}
    assert {curve for _, curve, _ in shown} == {"SECP256K1", "ED25519"}
    for name in members:
        assert shown <= stack.stored_keys(name)
