"""The vendor's own SDK, two lines of it, makes keys on a live service; only host and response key are set."""

from typing import Any

import pytest

from tests.live.sdk import ENVIRONMENTS, Seen, assert_documented, assert_error, assert_keys, drive
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OFFLINE = "erin"


@pytest.fixture(scope="module")
def quiet_stack(stack: Stack) -> Stack:
    """A request that waits for a node that is away can be cancelled; nobody races it."""
    stack.kill(f"node-{OFFLINE}")
    return stack


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def seen(quiet_stack: Stack, request: pytest.FixtureRequest) -> Seen:
    return drive(quiet_stack, request.param, "create", offline=OFFLINE)


@pytest.fixture(scope="module")
def results(seen: Seen) -> dict[str, Any]:
    return seen.results


def test_every_answer_is_of_its_documented_type(seen: Seen) -> None:
    assert f"SDK {seen.version} project" == seen.results["project"]["name"]
    assert_documented(seen)
    expected = {
        "api_key_info": "GetApiKeyInfo200Response",
        "service_holders": "list of KeyShareHolder",
        "project": "MPCProject",
        "project_read": "MPCProject",
        "project_updated": "MPCProject",
        "projects": "ListMpcProjects200Response",
        "vault": "MPCVault",
        "vault_read": "MPCVault",
        "vault_updated": "MPCVault",
        "vaults": "ListMpcVaults200Response",
        "group": "KeyShareHolderGroup",
        "group_read": "KeyShareHolderGroup",
        "groups": "ListKeyShareHolderGroups200Response",
        "holders": "ListKeyShareHolders200Response",
        "holder": "KeyShareHolder",
        "key_gen": "TSSRequest",
        "key_gen_end": "TSSRequest",
        "requests": "ListTssRequests200Response",
        "cancelled": "TSSRequest",
        "group_deleted": "DeleteKeyShareHolderGroupById201Response",
    }
    assert expected.items() <= seen.types.items()


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
    assert results["project_updated"] == project | {"name": f"{project['name']} renamed & more/é"}
    assert results["project_updated"] in results["projects"]["data"]
    assert results["user_vaults"]["data"] == [results["user_vault"]]


def test_vaults_and_pages(results: dict[str, Any]) -> None:
    vault = results["vault"]
    assert vault["type"] == "Org-Controlled"
    assert not vault.get("root_pubkeys")
    assert results["vault_read"] == results["vault_updated"]
    assert results["vault_read"]["name"].endswith(" renamed é/&")
    first, second = results["vaults_first_page"], results["vaults_second_page"]
    total = results["vaults"]["pagination"]["total_count"] + 1
    assert first["pagination"]["total_count"] == second["pagination"]["total_count"] == total
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
    assert results["requests"]["data"] == [ended]
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


def test_delete_of_a_group_without_a_key(results: dict[str, Any]) -> None:
    assert results["group_deleted"] == {"submitted": True}
    assert results["groups_after_delete"]["data"] == []


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ("key_gen_with_source", "BadRequestException", 2006),
        ("key_gen_twice", "BadRequestException", 2029),
        ("second_open_request", "BadRequestException", 2029),
        ("group_in_use", "BadRequestException", 2029),
        ("cancelled_twice", "BadRequestException", 2029),
        ("name_taken", "BadRequestException", 2040),
        ("no_body", "BadRequestException", 2003),
        ("unknown_vault", "NotFoundException", 2028),
        ("odd_id", "NotFoundException", 2028),
        ("threshold", "BadRequestException", 2006),
    ],
)
def test_errors_are_typed(seen: Seen, step: str, kind: str, code: int) -> None:
    assert_error(seen, step, kind, code)
