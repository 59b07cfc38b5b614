"""Groups of a key that exists, through the API: promotion, replaced holders, deletion; with real machines."""

from typing import Any

import pytest

from tests.api.client import Client, Reply
from tests.api.conftest import ACTOR
from tests.tss.nodes import Site, fresh
from tss.models import TssRequest
from vaults import services
from vaults.models import Group
from vaults.scopes import ALL_SCOPES

pytestmark = pytest.mark.slow


@pytest.fixture
def site(transactional_db: None) -> Site:
    """A vault whose MainGroup has made its key."""
    site = Site.make()
    site.succeeded()
    site.group.refresh_from_db()
    return site


@pytest.fixture
def client(site: Site) -> Client:
    key = services.generate_api_key(
        actor=ACTOR, organisation=site.organisation, name="client", scopes=ALL_SCOPES
    )
    return Client(key.secret)


def signing_group(site: Site) -> Group:
    return shared(site, "SigningGroup", "Desk", "Server")


def shared(site: Site, type: str, *names: str) -> Group:
    """A group of new nodes with shares of the key."""
    group = site.new_group(type=type, signers=site.join(*names))
    site.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    group.refresh_from_db()
    return group


def path_of(group: Group) -> str:
    return f"/wallets/mpc/vaults/{group.vault_id}/key_share_holder_groups/{group.id}"


def upgrade(client: Client, group: Group, **changes: Any) -> Reply:
    body = {"update_key_share_holder_group_action": "UpgradeToMainGroup"} | changes
    return client.put(path_of(group), body)


def approve(site: Site, request: TssRequest) -> TssRequest:
    site.approve(request)
    site.start_job(request)
    return fresh(request)


def ids(client: Client, site: Site, type: str) -> list[str]:
    page = client.get(
        f"/wallets/mpc/vaults/{site.vault.id}/key_share_holder_groups", f"key_share_holder_group_type={type}"
    ).json
    assert page["pagination"]["total_count"] == len(page["data"])
    return [group["key_share_holder_group_id"] for group in page["data"]]


@pytest.mark.parametrize("handling", ["Invalidate", "ConvertToSigningGroup", None])
def test_r16_an_upgrade_is_a_request_that_both_groups_approve(
    site: Site, client: Client, handling: str | None
) -> None:
    group = signing_group(site)
    before = client.get(path_of(group)).json
    reply = upgrade(client, group, original_main_group_handling=handling)
    assert reply.status == 200
    request = TssRequest.objects.get(pk=reply.json["pending_request_id"])
    # Nothing has changed but that the holders are asked.
    assert reply.json == {**before, "pending_request_id": request.id}
    assert client.get(path_of(group)).json == before
    asked = set(request.voters.values_list("node", flat=True))
    assert asked == {
        *site.group.holders.values_list("node", flat=True),
        *group.holders.values_list("node", flat=True),
    }
    assert approve(site, request).state == "Succeeded"
    old_id, new_id = str(site.group.id), str(group.id)
    assert ids(client, site, "MainGroup") == [new_id]
    kept = handling == "ConvertToSigningGroup"
    assert ids(client, site, "SigningGroup") == ([old_id] if kept else [])
    old = client.get(path_of(site.group)).json
    assert (old["type"], old["status"]) == (
        ("SigningGroup", "Valid") if kept else ("MainGroup", "Unavailable")
    )


def test_what_cannot_be_upgraded(site: Site, client: Client) -> None:
    group = signing_group(site)
    for changes, error in (
        ({"update_key_share_holder_group_action": None}, (400, 2003, "update_key_share_holder_group_action")),
        (
            {"update_key_share_holder_group_action": "Upgrade"},
            (400, 2006, "update_key_share_holder_group_action"),
        ),
        ({"original_main_group_handling": "Delete"}, (400, 2006, "original_main_group_handling")),
    ):
        assert upgrade(client, group, **changes).error == error
    assert upgrade(client, site.group).error == (400, 2029, "")
    new = site.new_group(type="SigningGroup", signers=site.join("Nobody", "Yet"))
    assert upgrade(client, new).error == (400, 2029, "key_share_holder_group_id")
    assert upgrade(client, group).status == 200
    # One open request for a group at a time.
    assert upgrade(client, group).error[:2] == (400, 2029)


def test_a_group_of_a_pending_upgrade_is_not_deleted(site: Site, client: Client) -> None:
    group = signing_group(site)
    request_id = upgrade(client, group).json["pending_request_id"]
    assert client.post(f"{path_of(group)}/delete").error == (400, 2029, "")
    assert client.post(f"/requests/{request_id}/cancel").status == 201
    assert client.post(f"{path_of(group)}/delete").status == 201
    # What it could have signed with is still there: deleting is a label (R16).
    assert group.share_sets.filter(active=True).count() == 1


def test_p13_a_request_ends_at_once_when_its_roster_no_longer_holds(site: Site, client: Client) -> None:
    """P13: a Refresh that asks a holder who is then replaced, and the Recovery that was to replace it."""
    recovery = shared(site, "RecoveryGroup", "Vault E", "Vault F", "Vault G")
    refresh = site.request(type="Refresh")
    lost = site.signers[2]
    [spare] = site.join("Spare")
    replace = f"/vaults/{site.vault.id}/groups/{site.group.id}/holders/{lost.node_id}/replace"
    assert client.post(replace, {"new_tss_node_id": spare.node_id}).status == 201
    ended = client.get(f"/requests/{refresh.id}").json
    assert ended["state"] == "Unsatisfiable"
    assert lost.node_id in ended["state_reason"]
    # Taking the word back ends the Recovery that was built on it.
    body = {
        "type": "Recovery",
        "target_key_share_holder_group_id": str(site.group.id),
        "source_key_share_holder_group": {"key_share_holder_group_id": str(recovery.id)},
    }
    made = client.post(f"/wallets/mpc/vaults/{site.vault.id}/tss_requests", body)
    assert made.status == 201
    assert client.post(replace, {"new_tss_node_id": lost.node_id}).status == 201
    assert client.get(f"/requests/{made.json['tss_request_id']}").json["state"] == "Unsatisfiable"


def test_r12_a_later_policy_is_a_request(site: Site, client: Client) -> None:
    path = f"/vaults/{site.vault.id}/policy"
    before = client.get(path).json
    assert client.put(path, {"erase_grace": 0}).error == (400, 2029, "")
    made = client.post(
        f"/vaults/{site.vault.id}/requests", {"type": "PolicyChange", "policy": {"erase_grace": 0}}
    )
    assert made.status == 201, made.body
    assert client.get(path).json == before
    request = TssRequest.objects.get(pk=made.json["tss_request_id"])
    assert approve(site, request).state == "Succeeded"
    after = client.get(path).json
    assert after["policy"] == before["policy"] | {"erase_grace": 0, "predecessor": before["policy_hash"]}


def test_r29_a_stricter_policy_holds_for_the_next_group(site: Site, client: Client) -> None:
    made = client.post(
        f"/vaults/{site.vault.id}/requests", {"type": "PolicyChange", "policy": {"shared_nodes": False}}
    )
    approve(site, TssRequest.objects.get(pk=made.json["tss_request_id"]))
    body = {
        "key_share_holder_group_type": "SigningGroup",
        "participants": 2,
        "threshold": 2,
        "key_share_holders": [{"tss_node_id": signer.node_id} for signer in site.signers[:2]],
    }
    reply = client.post(f"/wallets/mpc/vaults/{site.vault.id}/key_share_holder_groups", body)
    assert reply.error == (400, 2006, "key_share_holders[0].tss_node_id")
