"""TSS requests through the compatible API."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from tests.api.client import Reply
from tests.api.conftest import Tenant
from tss.models import TssRequest
from vaults.models import Group, GroupStatus
from webhooks.models import OutboxEvent

# The database decides these races and refusals: both databases have to.
pytestmark = pytest.mark.embedded


@pytest.fixture
def place(tenant: Tenant) -> tuple[str, str]:
    """Path of a vault's requests, and its group."""
    vault_id = tenant.vault()
    return f"/wallets/mpc/vaults/{vault_id}/tss_requests", tenant.group(vault_id)


def test_create_get_list(tenant: Tenant, place: tuple[str, str]) -> None:
    path, group_id = place
    made = tenant.client.post(path, tenant.key_gen_body(group_id))
    assert made.status == 201
    request = made.json
    assert re.fullmatch(r"[0-9]{32}", request["tss_request_id"])
    compatible = {
        "source_key_share_holder_group": None,
        "target_key_share_holder_group_id": group_id,
        "type": "KeyGen",
        "status": "PendingKeyHolderConfirmation",
        "description": "first key",
    }
    assert {name: request[name] for name in compatible} == compatible
    assert type(request["created_timestamp"]) is int
    assert request["state"] == "AwaitingApproval"
    assert tenant.client.get(f"{path}/{request['tss_request_id']}").json == request
    page = tenant.client.get(path, f"key_share_holder_group_id={group_id}").json
    assert page == {"data": [request], "pagination": {"before": "", "after": "", "total_count": 1}}
    assert tenant.client.get(path).error == (400, 2003, "key_share_holder_group_id")
    bad = tenant.client.get(path, "key_share_holder_group_id=x")
    assert bad.error == (400, 2006, "key_share_holder_group_id")
    assert OutboxEvent.objects.filter(type="wallets.mpc.tss_request.created").count() == 1


def test_cancel(tenant: Tenant, place: tuple[str, str]) -> None:
    path, group_id = place
    request_id = tenant.client.post(path, tenant.key_gen_body(group_id)).json["tss_request_id"]
    cancelled = tenant.client.post(f"{path}/{request_id}/cancel")
    assert (cancelled.status, cancelled.json["status"], cancelled.json["state"]) == (
        201,
        "Success",
        "Cancelled",
    )
    later = tenant.client.get(f"{path}/{request_id}").json
    assert (later["status"], later["state"]) == ("KeyHolderConfirmationFailed", "Cancelled")
    assert tenant.client.post(f"{path}/{request_id}/cancel").error[:2] == (400, 2029)
    # The group is free again.
    assert tenant.client.post(path, tenant.key_gen_body(group_id)).status == 201
    page = tenant.client.get(path, f"key_share_holder_group_id={group_id}").json
    assert page["pagination"]["total_count"] == 2
    assert [entry["state"] for entry in page["data"]] == ["AwaitingApproval", "Cancelled"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"type": None}, (400, 2003, "type")),
        ({"type": "keygen"}, (400, 2006, "type")),
        ({"type": "Refresh"}, (400, 2006, "type")),
        ({"type": "KeyGenFromKeyGroup"}, (400, 2003, "source_key_share_holder_group")),
        ({"type": "Recovery"}, (400, 2003, "source_key_share_holder_group")),
        (
            {"type": "Recovery", "source_key_share_holder_group": {}},
            (400, 2003, "source_key_share_holder_group.key_share_holder_group_id"),
        ),
        (
            {"source_key_share_holder_group": {"key_share_holder_group_id": "x", "tss_node_ids": ["a", 1]}},
            (400, 2006, "source_key_share_holder_group.tss_node_ids"),
        ),
        ({"target_key_share_holder_group_id": None}, (400, 2003, "target_key_share_holder_group_id")),
        ({"target_key_share_holder_group_id": "x"}, (400, 2006, "target_key_share_holder_group_id")),
        ({"target_key_share_holder_group_id": "00000000-0000-4000-8000-000000000003"}, (404, 2028, "")),
        ({"source_key_share_holder_group": "x"}, (400, 2006, "source_key_share_holder_group")),
        (
            {"source_key_share_holder_group": {"key_share_holder_group_id": "x"}},
            (400, 2006, "source_key_share_holder_group"),
        ),
        ({"description": 5}, (400, 2006, "description")),
        ({"description": "x" * 1001}, (400, 2006, "description")),
        ({"description": "a\u0007b"}, (400, 2006, "description")),
    ],
)
def test_fields(
    tenant: Tenant, place: tuple[str, str], change: dict[str, Any], error: tuple[int, int, str]
) -> None:
    path, group_id = place
    assert tenant.client.post(path, tenant.key_gen_body(group_id) | change).error == error
    assert not TssRequest.objects.exists()


def test_no_body(tenant: Tenant, place: tuple[str, str]) -> None:
    assert tenant.client.post(place[0]).error == (400, 2003, "")


def test_a09_second_key_gen(tenant: Tenant, place: tuple[str, str]) -> None:
    """A09: KeyGen for a Main group that has a key, and for another one beside it."""
    path, group_id = place
    Group.objects.update(status=GroupStatus.VALID)
    assert tenant.client.post(path, tenant.key_gen_body(group_id)).error[:2] == (400, 2029)
    second = tenant.group(path.split("/")[4])
    assert tenant.client.post(path, tenant.key_gen_body(second)).error[:2] == (400, 2029)
    assert not TssRequest.objects.exists()


def test_a10_two_key_gens_at_once(tenant: Tenant, place: tuple[str, str]) -> None:
    """A10: of many requests for one group, each signed anew and sent at once, exactly one is accepted."""
    path, group_id = place

    def create(number: int) -> Reply:
        try:
            body = tenant.key_gen_body(group_id) | {"description": f"number {number}"}
            return tenant.client.post(path, body)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(create, range(8)))
    assert sorted(reply.status for reply in replies) == [201] + [400] * 7
    assert {reply.error[1] for reply in replies if reply.status == 400} == {2029}
    assert TssRequest.objects.count() == 1
    assert OutboxEvent.objects.filter(type="wallets.mpc.tss_request.created").count() == 1
