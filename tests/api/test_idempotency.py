"""The Idempotency-Key header: one request, however often and on whatever connection it is sent (A02-A05)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.api.client import now_ms, send_and_lose_the_answer
from tests.api.conftest import Tenant
from tests.api.test_replay import in_parallel
from tss.models import TssRequest
from tss.retention import prune
from vaults.models import Project, SignedRequest, Vault
from webhooks.models import OutboxEvent

# The database decides these races: both databases have to.
pytestmark = pytest.mark.embedded

VAULTS = "/wallets/mpc/vaults"
PROJECT = {"name": "once", "participants": 3, "threshold": 2}
VAULT = {"name": "once", "vault_type": "Org-Controlled"}


def test_a02_fifty_at_once_make_one_row(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    path, body = f"{VAULTS}/{vault_id}/tss_requests", tenant.key_gen_body(tenant.group(vault_id))
    # Fifty different signatures: only the key says that they are one request.
    calls = [
        tenant.client.sign("POST", path, body=body, nonce=now_ms() + i, idempotency_key="order 66")
        for i in range(50)
    ]
    replies = in_parallel(tenant.client, calls)
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert TssRequest.objects.count() == 1
    assert OutboxEvent.objects.filter(type="wallets.mpc.tss_request.created").count() == 1


def test_a03_same_key_other_body(tenant: Tenant) -> None:
    first = tenant.client.send(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
    assert first.status == 201
    for other in (
        tenant.client.sign("POST", VAULTS, body=VAULT | {"name": "other"}, idempotency_key="k"),
        tenant.client.sign("POST", "/wallets/mpc/projects", body=VAULT, idempotency_key="k"),
        tenant.client.sign("PUT", f"{VAULTS}/{first.json['vault_id']}", body=VAULT, idempotency_key="k"),
    ):
        reply = tenant.client.send(other)
        assert reply.error == (422, 12009, "Idempotency-Key")
        assert "fingerprint" in reply.json["error_message"]
    assert [vault.name for vault in Vault.objects.all()] == ["once"]
    again = tenant.client.send(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
    assert (again.status, again.body) == (201, first.body)


def test_a04_the_same_key_of_another_tenant_is_another_request(tenant: Tenant, other: Tenant) -> None:
    replies = [
        each.client.send(each.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
        for each in (tenant, other)
    ]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json["vault_id"] != replies[1].json["vault_id"]


def test_a05_the_answer_is_lost_after_the_commit(tenant: Tenant) -> None:
    with pytest.raises(ConnectionResetError):
        send_and_lose_the_answer(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
    # The fault happened after the commit.
    made = Vault.objects.get(name="once")
    retry = tenant.client.send(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
    assert retry.status == 201
    assert retry.json["vault_id"] == str(made.id)
    assert Vault.objects.count() == 1


@pytest.mark.parametrize("first_key", [None, "k"])
def test_a12_captured_call_with_another_key_is_the_same_call(tenant: Tenant, first_key: str | None) -> None:
    """The header is not signed: whoever captured a call can put any key on it, or none."""
    call = tenant.client.sign("POST", "/wallets/mpc/projects", body=PROJECT, idempotency_key=first_key)
    first = tenant.client.send(call)
    assert first.status == 201
    for headers in ({"Idempotency-Key": "mallory"}, {}):
        signed = {name: value for name, value in call.headers.items() if name != "Idempotency-Key"}
        again = tenant.client.send(replace(call, headers=signed | headers))
        assert (again.status, again.body) == (201, first.body)
    assert Project.objects.count() == 1


def test_a12_answer_from_the_key_uses_the_signature_up(tenant: Tenant) -> None:
    """A call that was answered from the store, or refused for its key, does not run once the key is gone."""
    tenant.client.send(tenant.client.sign("POST", "/wallets/mpc/projects", body=PROJECT, idempotency_key="k"))
    for body, status in ((PROJECT, 201), (PROJECT | {"name": "other"}, 422)):
        call = tenant.client.sign("POST", "/wallets/mpc/projects", body=body, idempotency_key="k")
        assert tenant.client.send(call).status == status
        bare = {name: value for name, value in call.headers.items() if name != "Idempotency-Key"}
        assert tenant.client.send(replace(call, headers=bare)).status == status
    assert Project.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_malformed_key_is_refused(tenant: Tenant, key: str) -> None:
    reply = tenant.client.send(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key=key))
    assert reply.error == (400, 2006, "Idempotency-Key")
    assert not Vault.objects.exists()


def test_keys_are_forgotten_after_a_day(tenant: Tenant) -> None:
    tenant.client.send(tenant.client.sign("POST", VAULTS, body=VAULT, idempotency_key="k"))
    row = SignedRequest.objects.exclude(fingerprint="").get()
    assert row.keep_until - row.created_at > timedelta(hours=23)
    prune()
    assert SignedRequest.objects.exists()
    SignedRequest.objects.update(keep_until=row.created_at - timedelta(seconds=1))
    prune()
    assert not SignedRequest.objects.exists()
