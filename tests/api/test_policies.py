"""A vault's policy: the first one is set before there is a key, each later one is a request (R12)."""

import json
from typing import Any

import pytest

from audit.models import AuditRow
from tests.api.client import Client
from tests.api.conftest import ACTOR, Tenant
from tests.api.test_replay import in_parallel
from tss import groups
from tss.models import TssRequest
from vaults import selectors, services
from vaults.errors import ServiceError
from vaults.models import RootKey, Vault
from vaults.scopes import READ_SCOPES
from wire.intent import TYPES
from wire.policy import VaultPolicy

# The database decides these races and refusals: both databases have to.
pytestmark = [pytest.mark.embedded, pytest.mark.slow]

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def path(tenant: Tenant) -> str:
    return f"/vaults/{tenant.vault()}/policy"


def test_first_policy(tenant: Tenant, path: str) -> None:
    shown = tenant.client.get(path).json
    assert set(shown) == {"vault_id", "policy", "policy_hash", "canonical"}
    policy = VaultPolicy.parse(shown["canonical"].encode())
    assert (policy.to_json(), policy.hash().hex()) == (shown["policy"], shown["policy_hash"])
    assert policy == VaultPolicy(
        vault_id=shown["vault_id"],
        # Approvers decide, auditors read: neither asks.
        creators=dict.fromkeys(TYPES, ("admin", "operator", "robot")),
        request_lifetime=DAY_MS,
        required_approvals=2,
        erase_grace=DAY_MS,
        shared_nodes=True,
    )


def test_rules_are_changed_one_by_one_before_there_is_a_key(tenant: Tenant, path: str) -> None:
    before = tenant.client.get(path).json["policy"]
    changes = {"required_approvals": 3, "shared_nodes": False}
    reply = tenant.client.put(path, changes)
    assert reply.status == 200
    assert reply.json == tenant.client.get(path).json
    # Nothing preceded it: no key was ever under another policy.
    assert reply.json["policy"] == before | changes | {"predecessor": ""}
    audited = json.loads(AuditRow.objects.get(act="vault.policy_changed").detail)
    assert audited == {"policy_hash": reply.json["policy_hash"], "policy": reply.json["policy"]}


def test_creators_are_replaced_as_a_whole(tenant: Tenant, path: str) -> None:
    creators = {"KeyGen": ["admin"], "Refresh": ["admin", "robot"]}
    assert tenant.client.put(path, {"creators": creators}).json["policy"]["creators"] == creators


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        # R12: one approval decides nothing, zero even less.
        ({"required_approvals": 0}, "required_approvals"),
        ({"required_approvals": 1}, "required_approvals"),
        ({"required_approvals": 101}, "required_approvals"),
        ({"required_approvals": "2"}, "required_approvals"),
        ({"required_approvals": True}, "required_approvals"),
        ({"request_lifetime": 59_999}, "request_lifetime"),
        ({"request_lifetime": 7 * DAY_MS + 1}, "request_lifetime"),
        ({"erase_grace": -1}, "erase_grace"),
        ({"erase_grace": 90 * DAY_MS + 1}, "erase_grace"),
        ({"shared_nodes": "no"}, "shared_nodes"),
        ({"creators": []}, "creators"),
        ({"creators": {"keygen": ["admin"]}}, "creators.keygen"),
        ({"creators": {"KeyGen": ["auditor"]}}, "creators.KeyGen[0]"),
        ({"creators": {"KeyGen": ["admin", "admin"]}}, "creators.KeyGen"),
    ],
)
def test_r12_rules_have_bounds(tenant: Tenant, path: str, changes: dict[str, Any], field: str) -> None:
    before = tenant.client.get(path).json
    assert tenant.client.put(path, changes).error == (400, 2006, field)
    assert tenant.client.get(path).json == before


@pytest.mark.parametrize("field", ["v", "vault_id", "predecessor", "required_aproval"])
def test_a11_the_rest_of_the_document_is_not_the_callers(tenant: Tenant, path: str, field: str) -> None:
    before = tenant.client.get(path).json
    assert tenant.client.put(path, {"erase_grace": 0, field: 3}).error == (400, 2006, field)
    assert tenant.client.get(path).json == before


def test_r12_no_change_past_a_request_that_names_the_policy(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    path = f"/vaults/{vault_id}/policy"
    request_id = tenant.request(vault_id, tenant.group(vault_id))
    refused = tenant.client.put(path, {"erase_grace": 0})
    assert refused.error == (400, 2029, "")
    assert request_id in refused.json["error_message"]
    assert "PolicyChange" in refused.json["error_message"]
    assert (
        tenant.client.post(f"/wallets/mpc/vaults/{vault_id}/tss_requests/{request_id}/cancel").status == 201
    )
    assert tenant.client.put(path, {"erase_grace": 0}).status == 200


def test_r12_no_request_names_a_policy_that_changed_under_it(tenant: Tenant) -> None:
    """Asking for the key and changing its first policy at once: whoever comes second sees the other."""
    for turn in range(20):
        vault_id = tenant.vault()
        group_id = tenant.group(vault_id)
        change = tenant.client.sign("PUT", f"/vaults/{vault_id}/policy", body={"erase_grace": 0})
        ask = tenant.client.sign(
            "POST", f"/wallets/mpc/vaults/{vault_id}/tss_requests", body=tenant.key_gen_body(group_id)
        )
        replies = in_parallel(tenant.client, [change, ask] if turn % 2 else [ask, change])
        assert sorted(reply.status for reply in replies) in ([200, 201], [201, 400])
        assert TssRequest.objects.get(vault_id=vault_id).policy == Vault.objects.get(pk=vault_id).policy


def test_r12_no_change_once_there_is_a_key(tenant: Tenant, path: str) -> None:
    RootKey.objects.create(vault=Vault.objects.get(), curve="ED25519", root_extended_public_key="xpub")
    refused = tenant.client.put(path, {"erase_grace": 0})
    assert refused.error == (400, 2029, "")
    assert "PolicyChange" in refused.json["error_message"]


def test_r12_no_change_by_a_caller_that_read_the_vault_before_there_was_a_key(
    tenant: Tenant, path: str
) -> None:
    """It waited for the vault while the KeyGen was published: what it read then no longer counts."""
    read = selectors.get_vault(organisation=tenant.organisation, vault_id=str(Vault.objects.get().pk))
    RootKey.objects.create(vault=read, curve="ED25519", root_extended_public_key="xpub")
    with pytest.raises(ServiceError, match="the vault has a key"):
        groups.set_first_policy(actor=ACTOR, vault=read, changes={"erase_grace": 0})


def test_changing_needs_the_right_to(tenant: Tenant, path: str) -> None:
    key = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="reader", scopes=READ_SCOPES
    )
    reader = Client(key.secret)
    assert reader.get(path).status == 200
    assert reader.put(path, {"erase_grace": 0}).error == (403, 2025, "")
