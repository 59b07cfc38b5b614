"""Projects and vaults: shapes, names, totals."""

import time
from typing import Any

import pytest

from tests.api.conftest import Tenant
from vaults.models import Organisation, RootKey, Vault
from webhooks.models import OutboxEvent


def test_project_shape_and_update(tenant: Tenant) -> None:
    body = {"name": "wallets", "participants": 3, "threshold": 2}
    made = tenant.client.post("/wallets/mpc/projects", body)
    assert made.status == 201
    project = made.json
    assert abs(project.pop("created_timestamp") - time.time() * 1000) < 60_000
    project_id = project.pop("project_id")
    assert project == {"org_id": str(tenant.organisation.id), **body}
    path = f"/wallets/mpc/projects/{project_id}"
    assert tenant.client.put(path, {"name": "renamed"}).status == 200
    assert tenant.client.get(path).json["name"] == "renamed"
    assert tenant.client.get("/wallets/mpc/projects").json["pagination"]["total_count"] == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, (400, 2003, "name")),
        ({"name": "x" * 101}, (400, 2006, "name")),
        ({"participants": None}, (400, 2003, "participants")),
        ({"participants": 1}, (400, 2006, "participants")),
        ({"threshold": 1}, (400, 2006, "threshold")),
        ({"threshold": 4}, (400, 2006, "threshold")),
    ],
)
def test_project_fields(tenant: Tenant, change: dict[str, Any], error: tuple[int, int, str]) -> None:
    body = {"name": "wallets", "participants": 3, "threshold": 2} | change
    assert tenant.client.post("/wallets/mpc/projects", body).error == error


def test_vault_shape_event_and_root_keys(tenant: Tenant) -> None:
    body = {"name": "Treasury é & more/", "vault_type": "Org-Controlled", "project_id": "ignored"}
    vault = tenant.client.post("/wallets/mpc/vaults", body).json
    assert set(vault) == {"vault_id", "project_id", "name", "type", "root_pubkeys", "created_timestamp"}
    assert (vault["name"], vault["type"], vault["project_id"]) == (body["name"], "Org-Controlled", None)
    assert vault["root_pubkeys"] == []
    event = OutboxEvent.objects.get(type="mpc_vaults.created")
    assert event.organisation_id == tenant.organisation.id
    assert event.data == {"data_type": "MPCVault", **vault}
    for curve in ("ED25519", "SECP256K1"):
        RootKey.objects.create(
            vault_id=vault["vault_id"], curve=curve, root_extended_public_key=f"xpub {curve}"
        )
    shown = tenant.client.get(f"/wallets/mpc/vaults/{vault['vault_id']}").json
    assert shown["root_pubkeys"] == [
        {"root_pubkey": f"xpub {curve}", "curve": curve} for curve in ("SECP256K1", "ED25519")
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": None}, (400, 2003, "name")),
        ({"name": "x" * 31}, (400, 2006, "name")),
        ({"name": " x"}, (400, 2006, "name")),
        ({"name": "a\nb"}, (400, 2006, "name")),
        ({"name": "a\u202eb"}, (400, 2006, "name")),
        ({"name": 5}, (400, 2006, "name")),
        ({"vault_type": None}, (400, 2003, "vault_type")),
        ({"vault_type": "OrgControlled"}, (400, 2006, "vault_type")),
        ({"vault_type": "User-Controlled"}, (400, 2003, "project_id")),
        ({"vault_type": "User-Controlled", "project_id": "x"}, (400, 2006, "project_id")),
    ],
)
def test_vault_fields(tenant: Tenant, change: dict[str, Any], error: tuple[int, int, str]) -> None:
    body = {"name": "Treasury", "vault_type": "Org-Controlled"} | change
    assert tenant.client.post("/wallets/mpc/vaults", body).error == error
    assert not Vault.objects.exists()


def test_vault_names_are_unique_inside_an_organisation(tenant: Tenant, other: Tenant) -> None:
    body = {"name": "x" * 30, "vault_type": "Org-Controlled"}
    assert tenant.client.post("/wallets/mpc/vaults", body).status == 201
    assert tenant.client.post("/wallets/mpc/vaults", body).error == (400, 2040, "name")
    assert other.client.post("/wallets/mpc/vaults", body).status == 201
    second = tenant.vault()
    assert tenant.client.put(f"/wallets/mpc/vaults/{second}", {"name": "x" * 30}).error == (400, 2040, "name")
    assert tenant.client.put(f"/wallets/mpc/vaults/{second}", {"name": "y"}).status == 200
    assert OutboxEvent.objects.order_by("-sequence")[0].type == "mpc_vaults.updated"


def test_user_controlled_vaults_and_filters(tenant: Tenant) -> None:
    project = tenant.project()
    body = {"name": "u", "vault_type": "User-Controlled", "project_id": project}
    made = tenant.client.post("/wallets/mpc/vaults", body).json
    assert made["project_id"] == project
    tenant.vault()

    def listed(query: str) -> tuple[int, int]:
        reply = tenant.client.get("/wallets/mpc/vaults", query).json
        return len(reply["data"]), reply["pagination"]["total_count"]

    assert listed("vault_type=Org-Controlled") == (1, 1)
    assert listed("vault_type=User-Controlled") == (1, 1)
    assert listed(f"vault_type=User-Controlled&project_id={project}") == (1, 1)
    assert listed(f"vault_type=User-Controlled&project_id={tenant.project()}") == (0, 0)
    assert tenant.client.get("/wallets/mpc/vaults").error == (400, 2003, "vault_type")
    assert tenant.client.get("/wallets/mpc/vaults", "vault_type=x").error == (400, 2006, "vault_type")
    assert Organisation.objects.count() == 1


@pytest.mark.parametrize("text", ["x", "{%s}", "urn:uuid:%s", "%s0", "../%s"])
def test_ids_have_one_form(tenant: Tenant, text: str) -> None:
    vault_id = tenant.vault()
    path = f"/wallets/mpc/vaults/{text % vault_id if '%' in text else text}"
    assert tenant.client.get(path).error == (404, 2028, "")
