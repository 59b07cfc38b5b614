"""The vendor's own SDK, two lines of it, gives a key to further groups, recovers it and changes its Main."""

from typing import Any

import pytest

from tests.live.sdk import ENVIRONMENTS, Seen, assert_documented, assert_error, assert_keys, drive, root_keys
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

JOINING = ["dave", "erin", "service"]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def seen(stack: Stack, request: pytest.FixtureRequest) -> Seen:
    """Make a key, let the nodes that will join it pin its anchor (R6), and run the part."""
    vault_id = stack.vault(f"Shared {request.param}")
    main_id = stack.group(vault_id, ["alice", "bob", "carol"], 2)
    assert stack.finished(vault_id, stack.key_gen(vault_id, main_id))["status"] == "Success"
    stack.pin_anchor(vault_id, JOINING)
    return drive(stack, request.param, "share", vault_id=vault_id, main_id=main_id)


@pytest.fixture(scope="module")
def results(seen: Seen) -> dict[str, Any]:
    return seen.results


def test_every_answer_is_of_its_documented_type(seen: Seen) -> None:
    assert_documented(seen)
    expected = {
        "signing_key": "TSSRequest",
        "signing_key_end": "TSSRequest",
        "signing_key_group": "KeyShareHolderGroup",
        "signing_key_requests": "ListTssRequests200Response",
        "groups_SigningGroup": "ListKeyShareHolderGroups200Response",
        "changed": "KeyShareHolder",
        "recovered": "TSSRequest",
        "converting": "KeyShareHolderGroup",
        "deleted_signing": "DeleteKeyShareHolderGroupById201Response",
    }
    assert expected.items() <= seen.types.items()


def test_a_named_choice_of_source_holders_is_shown_as_given(stack: Stack, results: dict[str, Any]) -> None:
    source = results["signing_key"]["source_key_share_holder_group"]
    assert source["tss_node_ids"] == [stack.node_ids["alice"], stack.node_ids["bob"]]
    assert results["signing_key"]["type"] == "KeyGenFromKeyGroup"
    assert results["signing_key_requests"]["data"] == [results["signing_key_end"]]


@pytest.mark.parametrize(
    ("step", "kind", "members"),
    [
        ("signing_key", "SigningGroup", ("alice", "dave")),
        ("second_signing_key", "SigningGroup", ("bob", "erin")),
        ("recovery_key", "RecoveryGroup", ("alice", "dave", "service")),
        ("recovered", "MainGroup", ("alice", "bob", "erin")),
    ],
)
def test_a_group_gets_the_same_root_keys(
    stack: Stack, results: dict[str, Any], step: str, kind: str, members: tuple[str, ...]
) -> None:
    assert results[f"{step}_end"]["status"] == "Success"
    group = results[f"{step}_group"]
    assert (group["type"], group["status"]) == (kind, "Valid")
    assert [holder["tss_node_id"] for holder in group["key_share_holders"]] == [
        stack.node_ids[name] for name in members
    ]
    shown = {entry["curve"]: entry["root_pubkey"] for entry in group["tss_key_share_groups"]}
    assert shown == root_keys(results["vault"])
    assert_keys(stack, results["vault"], members)


def test_each_group_is_listed_under_its_type(results: dict[str, Any]) -> None:
    counts = {"MainGroup": 1, "SigningGroup": 2, "RecoveryGroup": 1}
    for kind, count in counts.items():
        assert {group["type"] for group in results[f"groups_{kind}"]["data"]} == {kind}
        assert len(results[f"groups_{kind}"]["data"]) == count


def test_a_replaced_holder_is_changed_until_the_recovery(stack: Stack, results: dict[str, Any]) -> None:
    assert results["changed"]["status"] == "Changed"
    holders = results["recovered_group"]["key_share_holders"]
    assert {holder["status"] for holder in holders} == {"Valid"}
    assert stack.node_ids["carol"] not in {holder["tss_node_id"] for holder in holders}


def test_a_recovered_main_group_takes_the_place_of_the_old_one(results: dict[str, Any]) -> None:
    assert results["recovered_anew_end"]["status"] == "Success"
    new = results["new_main_group"]
    assert new["status"] == "Valid"
    assert results["main_groups_after_recovery"]["data"] == [new]


def test_upgrade_converts_the_old_main_group(results: dict[str, Any]) -> None:
    promoted = results["converting_end"]
    assert (promoted["type"], promoted["status"]) == ("MainGroup", "Valid")
    assert results["main_groups_after_converting"]["data"] == [promoted]
    ids = {group["key_share_holder_group_id"] for group in results["signing_groups_after_converting"]["data"]}
    assert results["new_main_group"]["key_share_holder_group_id"] in ids


def test_upgrade_invalidates_the_old_main_group_by_default(results: dict[str, Any]) -> None:
    promoted, old = results["invalidating_end"], results["converting_end"]
    assert results["main_groups_after_invalidating"]["data"] == [promoted]
    signing = results["signing_groups_after_invalidating"]["data"]
    assert old["key_share_holder_group_id"] not in {group["key_share_holder_group_id"] for group in signing}


def test_groups_can_be_deleted_but_not_the_last_that_can_sign(results: dict[str, Any]) -> None:
    assert results["deleted_recovery"] == results["deleted_signing"] == {"submitted": True}
    assert results["groups_at_the_end"]["data"] == results["main_groups_after_invalidating"]["data"]


def test_the_root_keys_stay_the_same_throughout(results: dict[str, Any]) -> None:
    assert root_keys(results["vault_at_the_end"]) == root_keys(results["vault"])


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("no_source", 2003),
        ("source_too_many", 2006),
        ("source_too_few", 2006),
        ("source_twice", 2006),
        ("source_stranger", 2006),
        ("source_not_main", 2006),
        ("recovery_from_main", 2006),
        ("key_gen_into_new_main", 2029),
        ("upgrade_of_recovery", 2029),
        ("delete_last", 2029),
    ],
)
def test_errors_are_typed(seen: Seen, step: str, code: int) -> None:
    assert_error(seen, step, "BadRequestException", code)
