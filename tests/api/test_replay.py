"""A signed request runs once; every exact repeat gets the same answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from audit.models import AuditRow
from tests.api.client import Client, Reply, SignedCall
from tests.api.conftest import ACTOR, Tenant
from tss.retention import prune
from vaults import services
from vaults.models import ApiKey, RowCount, SignedRequest, Vault
from vaults.scopes import ALL_SCOPES, READ_SCOPES
from webhooks.models import OutboxEvent

# The database decides these races and refusals: both databases have to.
pytestmark = pytest.mark.embedded

VAULT = {"name": "once", "vault_type": "Org-Controlled"}


def in_parallel(client: Client, calls: list[SignedCall]) -> list[Reply]:
    def send(call: SignedCall) -> Reply:
        try:
            return client.send(call)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(send, calls))


def test_repeat_gets_the_stored_answer(tenant: Tenant) -> None:
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body=VAULT)
    first = tenant.client.send(call)
    assert first.status == 201
    trace = (AuditRow.objects.count(), OutboxEvent.objects.count())
    for _ in range(3):
        again = tenant.client.send(call)
        assert (again.status, again.body) == (201, first.body)
    assert Vault.objects.count() == 1
    assert (AuditRow.objects.count(), OutboxEvent.objects.count()) == trace


def test_put_repeat_does_not_undo_a_later_change(tenant: Tenant) -> None:
    path = f"/wallets/mpc/vaults/{tenant.vault()}"
    call = tenant.client.sign("PUT", path, body={"name": "first"})
    assert tenant.client.send(call).status == 200
    tenant.client.put(path, {"name": "second"})
    assert tenant.client.send(call).json["name"] == "first"
    assert tenant.client.get(path).json["name"] == "second"


def test_same_body_signed_again_is_a_new_request(tenant: Tenant) -> None:
    assert tenant.client.post("/wallets/mpc/vaults", VAULT).status == 201
    assert tenant.client.post("/wallets/mpc/vaults", VAULT).error == (400, 2040, "name")


def test_refused_request_stays_refused(tenant: Tenant) -> None:
    """A captured call that was denied must not come to life when rights are granted or objects appear."""
    key = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="reader", scopes=READ_SCOPES
    )
    client = Client(key.secret)
    call = client.sign("POST", "/wallets/mpc/vaults", body=VAULT)
    denied = client.send(call)
    assert denied.error == (403, 2025, "")
    rows = AuditRow.objects.count()
    ApiKey.objects.filter(pk=key.api_key.pk).update(scopes=list(ALL_SCOPES))
    assert client.send(call).body == denied.body
    assert AuditRow.objects.count() == rows
    assert client.post("/wallets/mpc/vaults", VAULT).status == 201


def test_twenty_at_once_make_one_row(tenant: Tenant) -> None:
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body=VAULT)
    replies = in_parallel(tenant.client, [call] * 20)
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert Vault.objects.count() == 1
    assert SignedRequest.objects.count() == 1
    assert OutboxEvent.objects.filter(type="mpc_vaults.created").count() == 1
    assert RowCount.objects.get(scope__startswith="vaults:").count == 1


def test_twenty_failures_at_once_have_one_answer(tenant: Tenant) -> None:
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body={"name": "once", "vault_type": "no"})
    replies = in_parallel(tenant.client, [call] * 20)
    assert {reply.body for reply in replies} == {replies[0].body}
    assert replies[0].error == (400, 2006, "vault_type")


def test_twenty_different_calls_at_once(tenant: Tenant) -> None:
    """Counters and the audit chain hold under contention."""
    calls = [
        tenant.client.sign(
            "POST", "/wallets/mpc/vaults", body={"name": f"v{i}", "vault_type": "Org-Controlled"}
        )
        for i in range(20)
    ]
    assert [reply.status for reply in in_parallel(tenant.client, calls)] == [201] * 20
    page = tenant.client.get("/wallets/mpc/vaults", "vault_type=Org-Controlled&limit=50").json
    assert page["pagination"] == {"before": "", "after": "", "total_count": 20}
    assert len(page["data"]) == 20


def test_repeated_get_just_works(tenant: Tenant) -> None:
    call = tenant.client.sign("GET", "/developers/api_key_info")
    assert [tenant.client.send(call).status for _ in range(4)] == [200] * 4
    assert not SignedRequest.objects.exists()


def test_old_answers_are_pruned_after_the_window(tenant: Tenant) -> None:
    """A12: the table of signatures is bounded; what goes could not be replayed any more."""
    call = tenant.client.sign("POST", "/wallets/mpc/vaults", body=VAULT)
    tenant.client.send(call)
    prune()
    assert SignedRequest.objects.count() == 1
    row = SignedRequest.objects.get()
    # The nonce may be 120 s ahead when the call comes, and is accepted until it is 120 s behind.
    assert row.keep_until - row.created_at > timedelta(seconds=239)
    SignedRequest.objects.update(keep_until=row.created_at - timedelta(seconds=1))
    prune()
    assert not SignedRequest.objects.exists()
