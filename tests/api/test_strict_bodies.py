"""What a body may look like, and that nothing of a bad one is applied."""

import time
from typing import Any

import pytest
from django.conf import LazySettings

from tests.api.conftest import Tenant
from vaults.models import Group, Vault

pytestmark = pytest.mark.slow

DEEP = b"[" * 100_000
BAD_BODIES = [
    (b'{"name": "a", "vault_type": "Org-Controlled", "name": "b"}', "name"),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": 1e309}', "x"),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": NaN}', ""),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": -Infinity}', ""),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": 9007199254740992}', "x"),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": ' + b"1" * 5000 + b"}", ""),
    (b'{"name": "\\ud800", "vault_type": "Org-Controlled"}', "name"),
    (b'{"name": "\xed\xa0\x80", "vault_type": "Org-Controlled"}', ""),
    (b'{"name": "a\\u0000b", "vault_type": "Org-Controlled"}', "name"),
    ('{"name": "e\u0301", "vault_type": "Org-Controlled"}'.encode(), "name"),
    (b'{"name": "a", "vault_type": "Org-Controlled"} x', ""),
    (b'{"name": "a", "vault_type": "Org-Controlled"}{}', ""),
    (b'\xef\xbb\xbf{"name": "a", "vault_type": "Org-Controlled"}', ""),
    (b'{"name": "a", "vault_type": "Org-Controlled", "x": ' + DEEP, ""),
    (b'{"a":' * 40_000, ""),
    (b'["name"]', ""),
    (b"null", ""),
    (b'"name"', ""),
    (b"\xff\xfe", ""),
    (b"{'name': 1}", ""),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a06_bodies_that_are_not_strict_json(tenant: Tenant, body: bytes, field: str) -> None:
    """A06: duplicate keys, 1e309, NaN, deep nesting, lone surrogates, trailing bytes."""
    started = time.monotonic()
    reply = tenant.client.send(tenant.client.sign("POST", "/wallets/mpc/vaults", body=body))
    assert reply.error == (400, 2006, field)
    assert time.monotonic() - started < 1
    assert not Vault.objects.exists()


def test_a06_body_above_the_cap(tenant: Tenant, settings: LazySettings) -> None:
    """A06: 50 MB are not even read by the framework (tests/api/test_body_cap.py looks at the socket)."""
    body = b'{"name": "' + b"a" * settings.MAX_API_BODY_BYTES + b'"}'
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body=body)
    assert tenant.client.send(call).error == (400, 2006, "")


def test_empty_body_and_other_content_type(tenant: Tenant) -> None:
    assert tenant.client.post("/wallets/mpc/vaults").error == (400, 2003, "")
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body=b"name=a&vault_type=Org-Controlled")
    call.headers["Content-Type"] = "application/x-www-form-urlencoded"
    assert tenant.client.send(call).error == (400, 2006, "")


BAD_THRESHOLDS: list[tuple[Any, int]] = [
    (0, 2006),
    (1, 2006),
    (4, 2006),
    (-1, 2006),
    (2**31, 2006),
    (2**53, 2006),
    ("2", 2006),
    (2.0, 2006),
    (True, 2006),
    ([2], 2006),
    (None, 2003),
]


@pytest.mark.parametrize(("threshold", "code"), BAD_THRESHOLDS)
def test_a07_thresholds(tenant: Tenant, threshold: Any, code: int) -> None:
    """A07: 0, 1, n+1, negative, 2^31, "2", 2.0, true."""
    vault_id = tenant.vault()
    body = tenant.group_body(threshold=threshold)
    reply = tenant.client.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", body)
    assert reply.error == (400, code, "threshold")
    assert not Group.objects.exists()


@pytest.mark.parametrize("participants", [0, 1, 2, 4, 5, 101, 2**31, "3", 3.0, True])
def test_a07_participants(tenant: Tenant, participants: Any) -> None:
    vault_id = tenant.vault()
    body = tenant.group_body(participants=participants, threshold=2)
    reply = tenant.client.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", body)
    assert reply.error == (400, 2006, "participants")
    assert not Group.objects.exists()


def variants(node_id: str) -> list[str]:
    return [
        f" {node_id}",
        f"{node_id} ",
        f"{node_id}\t",
        f"{node_id}\u200b",
        node_id.swapcase(),
        node_id.upper(),
        node_id.replace("q", "\uff51", 1),
        node_id.replace("o", "\u043e", 1),
        f"{node_id}\u0000",
        "no-such-node",
    ]


def test_a07_the_same_node_twice(tenant: Tenant) -> None:
    """A07: duplicate holders, plain and under case, whitespace and Unicode variants of the id."""
    vault_id = tenant.vault()
    path = f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups"
    first = tenant.node_ids[0]
    for variant in [first, *variants(first)]:
        holders = tenant.holders()
        holders[1]["tss_node_id"] = variant
        reply = tenant.client.post(path, tenant.group_body(key_share_holders=holders))
        assert reply.error == (400, 2006, "key_share_holders[1].tss_node_id"), variant
    assert not Group.objects.exists()


BAD_HOLDERS: list[tuple[dict[str, Any], int, str]] = [
    ({"type": "Mobile"}, 2006, "type"),
    ({"type": "Cobo"}, 2006, "type"),
    ({"type": "robot"}, 2006, "type"),
    ({"type": 1}, 2006, "type"),
    ({"tss_node_id": None}, 2003, "tss_node_id"),
    ({"tss_node_id": ""}, 2003, "tss_node_id"),
    ({"tss_node_id": 7}, 2006, "tss_node_id"),
    ({"signer": "true"}, 2006, "signer"),
    ({"signer": 1}, 2006, "signer"),
    ({"name": ["x"]}, 2006, "name"),
    ({"name": "a\u202eb"}, 2006, "name"),
    ({"name": "x" * 101}, 2006, "name"),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD_HOLDERS)
def test_a07_holder_fields(tenant: Tenant, change: dict[str, Any], code: int, field: str) -> None:
    vault_id = tenant.vault()
    holders = tenant.holders()
    holders[2] |= change
    body = tenant.group_body(key_share_holders=holders)
    reply = tenant.client.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", body)
    assert reply.error == (400, code, f"key_share_holders[2].{field}")
    assert not Group.objects.exists()


@pytest.mark.parametrize(
    ("holders", "code", "field"),
    [
        (None, 2003, "key_share_holders"),
        ([], 2003, "key_share_holders"),
        ({}, 2006, "key_share_holders"),
        ([1, 2, 3], 2006, "key_share_holders[0]"),
        ([{}] * 101, 2006, "key_share_holders"),
    ],
)
def test_a07_holder_lists(tenant: Tenant, holders: Any, code: int, field: str) -> None:
    vault_id = tenant.vault()
    body = tenant.group_body(key_share_holders=holders)
    reply = tenant.client.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", body)
    assert reply.error == (400, code, field)


def test_a11_fields_that_are_not_the_callers(tenant: Tenant, other: Tenant) -> None:
    """A11: status, approvals, root_pubkey, tenant: ignored, never applied."""
    client = tenant.client
    smuggled = {
        "vault_id": "00000000-0000-4000-8000-000000000000",
        "organisation": str(other.organisation.id),
        "organisation_id": str(other.organisation.id),
        "org_id": str(other.organisation.id),
        "tenant": str(other.organisation.id),
        "root_pubkeys": [{"root_pubkey": "xpub", "curve": "SECP256K1"}],
        "status": "Valid",
        "state": "Succeeded",
        "approvals": {"needed": 0},
        "created_timestamp": 1,
        "manifest_hash": "00" * 32,
        "epoch": 9,
        "policy": "{}",
    }
    vault = client.post("/wallets/mpc/vaults", {"name": "v", "vault_type": "Org-Controlled", **smuggled}).json
    row = Vault.objects.get()
    assert (str(row.id), row.organisation) == (vault["vault_id"], tenant.organisation)
    assert vault["vault_id"] != smuggled["vault_id"]
    assert vault["root_pubkeys"] == []
    assert vault["created_timestamp"] > 1
    path = f"/wallets/mpc/vaults/{vault['vault_id']}"
    renamed = client.put(path, {"name": "w", "vault_type": "User-Controlled", **smuggled}).json
    assert renamed == {**vault, "name": "w"}
    holders = [{**holder, "online": True, "status": "Changed", "index": 9} for holder in tenant.holders()]
    body = tenant.group_body(
        key_share_holders=holders, tss_key_share_groups=[{"curve": "ED25519"}], **smuggled
    )
    group = client.post(f"{path}/key_share_holder_groups", body).json
    assert group["status"] == "New"
    assert "tss_key_share_groups" not in group
    assert {(h["online"], h["status"]) for h in group["key_share_holders"]} == {(False, "Valid")}
    stored = Group.objects.get()
    assert stored.epoch == 1
    assert stored.manifest_hash == group["manifest_hash"] != smuggled["manifest_hash"]
    body = {
        **tenant.key_gen_body(group["key_share_holder_group_id"]),
        **smuggled,
        "tss_request_id": "2" * 32,
        "digest": "00" * 32,
        "attempt": 4,
    }
    request = client.post(f"{path}/tss_requests", body).json
    assert (request["status"], request["attempt"]) == ("PendingKeyHolderConfirmation", 1)
    assert [request["approvals"][name] for name in ("needed", "received", "by")] == [3, 0, []]
    assert request["tss_request_id"] != body["tss_request_id"]
    assert request["digest"] != body["digest"]
