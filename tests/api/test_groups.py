"""Key share holder groups, their manifests and holders; the service holder's rule."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Tenant, enrol
from vaults import representation, selectors
from vaults.models import Group, GroupStatus, Holder, KeyShareGroup, Node, Organisation, Vault
from webhooks.models import OutboxEvent
from wire.manifest import Manifest


def groups(vault_id: str) -> str:
    return f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups"


def test_group_shape_and_manifest(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    group = tenant.client.post(groups(vault_id), tenant.group_body()).json
    assert set(group) == {
        "key_share_holder_group_id",
        "type",
        "key_share_holders",
        "participants",
        "threshold",
        "status",
        "created_timestamp",
        "vault_id",
        "manifest_hash",
        "epoch",
        "retired",
        "refresh_every_days",
        "next_refresh_timestamp",
    }
    assert group["key_share_holders"] == [
        {
            "name": f"holder {i}",
            "tss_node_id": node_id,
            "type": "API",
            "online": False,
            "signer": i == 0,
            "status": "Valid",
            "replacement_tss_node_id": None,
        }
        for i, node_id in enumerate(tenant.node_ids)
    ]
    assert (group["status"], group["participants"], group["threshold"]) == ("New", 3, 2)
    assert (group["epoch"], group["retired"]) == (1, False)
    assert (group["refresh_every_days"], group["next_refresh_timestamp"]) == (None, None)
    row = Group.objects.get()
    manifest = Manifest.parse(row.manifest.encode())
    assert manifest.hash().hex() == row.manifest_hash == group["manifest_hash"]
    assert manifest.node_ids == tuple(tenant.node_ids)
    assert (manifest.organisation_id, manifest.vault_id, manifest.group_id) == (
        str(tenant.organisation.id),
        vault_id,
        group["key_share_holder_group_id"],
    )
    assert (manifest.role, manifest.threshold, manifest.epoch) == ("main", 2, 1)
    assert OutboxEvent.objects.filter(type="quorate.group.created").count() == 1


def test_shares_are_shown_once_they_exist(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    group_id = tenant.group(vault_id)
    path = f"{groups(vault_id)}/{group_id}"
    assert "tss_key_share_groups" not in tenant.client.get(path).json
    Group.objects.update(status=GroupStatus.VALID)
    KeyShareGroup.objects.create(
        id="mMedDioOKhTlhGyQRzMv", group_id=group_id, curve="SECP256K1", root_extended_public_key="xpub"
    )
    assert tenant.client.get(path).json["tss_key_share_groups"] == [
        {"tss_key_share_group_id": "mMedDioOKhTlhGyQRzMv", "curve": "SECP256K1", "root_pubkey": "xpub"}
    ]


def test_a_list_costs_the_same_for_many_groups(tenant: Tenant) -> None:
    vault = Vault.objects.get(pk=tenant.vault())
    numbers = []
    for _ in range(3):
        tenant.group(str(vault.id))
        with CaptureQueriesContext(connection) as queries:
            shapes = [representation.group(group) for group in selectors.groups(vault=vault)]
        numbers.append((len(shapes), len(queries)))
    assert numbers == [(1, 3), (2, 3), (3, 3)]


def test_groups_are_listed_by_type(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    for type in ("MainGroup", "MainGroup", "SigningGroup", "RecoveryGroup"):
        body = tenant.group_body(key_share_holder_group_type=type)
        assert tenant.client.post(groups(vault_id), body).status == 201
    for query, number in (
        ("", 4),
        ("key_share_holder_group_type=MainGroup", 2),
        ("key_share_holder_group_type=RecoveryGroup", 1),
    ):
        page = tenant.client.get(groups(vault_id), query).json
        assert (len(page["data"]), page["pagination"]["total_count"]) == (number, number)
    bad = tenant.client.get(groups(vault_id), "key_share_holder_group_type=Main")
    assert bad.error == (400, 2006, "key_share_holder_group_type")


def test_service_holder_is_listed_as_a_bare_array(tenant: Tenant, service_node: Node) -> None:
    path = "/wallets/mpc/cobo_key_share_holders"
    assert tenant.client.get(path).json == [
        {
            "name": "service",
            "tss_node_id": service_node.tss_node_id,
            "type": "Cobo",
            "online": False,
            "signer": True,
            "status": "Valid",
            "replacement_tss_node_id": None,
        }
    ]
    Organisation.objects.update(service_signer_enabled=False)
    assert tenant.client.get(path).json == []


@pytest.mark.parametrize("type", ["MainGroup", "SigningGroup"])
def test_service_holder_is_added_where_there_is_room(tenant: Tenant, service_node: Node, type: str) -> None:
    body = tenant.group_body(key_share_holder_group_type=type, key_share_holders=tenant.holders(2))
    reply = tenant.client.post(groups(tenant.vault()), body)
    assert reply.status == 201
    members = reply.json["key_share_holders"]
    assert [member["type"] for member in members] == ["API", "API", "Cobo"]
    assert members[2]["tss_node_id"] == service_node.tss_node_id
    assert list(Holder.objects.order_by("index").values_list("index", flat=True)) == [1, 2, 3]


def test_service_holder_is_taken_as_named(tenant: Tenant, service_node: Node) -> None:
    second = enrol("second service", None)
    holders = [
        {"type": "Cobo", "tss_node_id": second.tss_node_id},
        {"type": "Cobo", "tss_node_id": service_node.tss_node_id},
        {"tss_node_id": tenant.node_ids[0]},
    ]
    # R1 is for the nodes to refuse: the coordinator would be judge in its own cause.
    reply = tenant.client.post(groups(tenant.vault()), tenant.group_body(key_share_holders=holders))
    assert reply.status == 201
    assert [member["type"] for member in reply.json["key_share_holders"]] == ["Cobo", "Cobo", "API"]


def test_service_holder_is_not_added_elsewhere(tenant: Tenant, service_node: Node) -> None:
    path = groups(tenant.vault())
    two = tenant.holders(2)
    recovery = tenant.group_body(key_share_holder_group_type="RecoveryGroup", key_share_holders=two)
    assert tenant.client.post(path, recovery).error == (400, 2006, "participants")
    one = tenant.group_body(key_share_holders=tenant.holders(1))
    assert tenant.client.post(path, one).error == (400, 2006, "participants")
    with_service = [two[0], {"type": "Cobo", "tss_node_id": service_node.tss_node_id}]
    body = tenant.group_body(key_share_holders=with_service)
    assert tenant.client.post(path, body).error == (400, 2006, "participants")
    Organisation.objects.update(service_signer_enabled=False)
    assert tenant.client.post(path, tenant.group_body(key_share_holders=two)).error == (
        400,
        2006,
        "participants",
    )
    named = [*two, {"type": "Cobo", "tss_node_id": service_node.tss_node_id}]
    assert tenant.client.post(path, tenant.group_body(key_share_holders=named)).error == (
        400,
        2006,
        "key_share_holders[2].tss_node_id",
    )
    assert not Group.objects.exists()


def test_no_service_holder_to_add(tenant: Tenant) -> None:
    body = tenant.group_body(key_share_holders=tenant.holders(2))
    assert tenant.client.post(groups(tenant.vault()), body).error == (400, 2006, "participants")


def test_holders_of_a_vault(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    first, second = tenant.group(vault_id), tenant.group(vault_id)
    path = f"/wallets/mpc/vaults/{vault_id}/key_share_holders"
    everyone = tenant.client.get(path).json
    assert [holder["tss_node_id"] for holder in everyone["data"]] == tenant.node_ids * 2
    assert everyone["pagination"]["total_count"] == 6
    some = tenant.client.get(path, f"key_share_holder_group_ids={first}").json
    assert (len(some["data"]), some["pagination"]["total_count"]) == (3, 3)
    both = tenant.client.get(path, f"key_share_holder_group_ids={first},{second}").json
    assert both["pagination"]["total_count"] == 6
    for text in ("x", f"{first},", f"{first},{first}", ",".join([first] * 51)):
        reply = tenant.client.get(path, f"key_share_holder_group_ids={text}")
        assert reply.error == (400, 2006, "key_share_holder_group_ids")
    one = tenant.client.get(f"{path}/{tenant.node_ids[1]}").json
    assert one == everyone["data"][4]
