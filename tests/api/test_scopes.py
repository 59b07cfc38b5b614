"""What a key may do: its scopes, and the role of the member whose key it is."""

import pytest

from audit.models import AuditRow
from tests.api.client import Client
from tests.api.conftest import ACTOR, Tenant
from tests.api.test_tenants import UNKNOWN, routes
from vaults import services
from vaults.models import Member, Node
from vaults.scopes import ALL_SCOPES, READ_SCOPES

# The vendor names no scope for these.
ANY_KEY = ("/wallets/mpc/cobo_key_share_holders", "/webhooks/events/definitions")


def key_of(tenant: Tenant, scopes: tuple[str, ...], member: Member | None = None) -> Client:
    key = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="limited", scopes=scopes, member=member
    )
    return Client(key.secret)


def filled(path: str) -> str:
    for name, value in UNKNOWN.items():
        path = path.replace(f"<id:{name}>", value)
    return path


def test_every_call_needs_its_scope(tenant: Tenant) -> None:
    nothing = key_of(tenant, ())
    refused = 0
    for method, path in routes():
        reply = nothing.send(nothing.sign(method, filled(path)))
        if path in ANY_KEY:
            assert reply.status == 200
            continue
        assert reply.error == (403, 2025, ""), (method, path)
        refused += 1
    assert refused >= 19
    assert AuditRow.objects.filter(act="api.denied").count() == refused


@pytest.mark.parametrize("role", ["approver", "auditor"])
def test_a_role_limits_a_members_key(tenant: Tenant, role: str) -> None:
    user = services.create_user(actor=ACTOR, username="ann", password="x")
    member = services.add_member(
        actor=ACTOR, organisation=tenant.organisation, user=user, role="operator", name="Ann"
    )
    client = key_of(tenant, ALL_SCOPES, member)
    body = {"name": "by ann", "vault_type": "Org-Controlled"}
    assert client.post("/wallets/mpc/vaults", body).status == 201
    services.change_role(actor=ACTOR, member=member, role=role)
    # At once: the role is read with every call.
    assert client.post("/wallets/mpc/vaults", body | {"name": "again"}).error == (403, 2025, "")
    assert client.get("/wallets/mpc/vaults", "vault_type=Org-Controlled").status == 200


def test_c23_denied_requests_are_audited_with_the_reason(tenant: Tenant) -> None:
    """R14 and the vault's policy: what the service itself refuses is written down like a missing scope."""
    vault_id = tenant.vault()
    body = tenant.key_gen_body(tenant.group(vault_id))
    path = f"/wallets/mpc/vaults/{vault_id}/tss_requests"
    user = services.create_user(actor=ACTOR, username="ann", password="x")
    ann = services.add_member(
        actor=ACTOR, organisation=tenant.organisation, user=user, role="operator", name="Ann"
    )
    Node.objects.update(owner=ann)
    assert key_of(tenant, ALL_SCOPES, ann).post(path, body).error == (403, 2025, "")
    assert "nobody else approves" in AuditRow.objects.latest("sequence").detail
    nobody = {"creators": {"Refresh": ["admin"]}}
    assert tenant.client.put(f"/vaults/{vault_id}/policy", nobody).status == 200
    assert tenant.client.post(path, body).error == (403, 2025, "type")
    row = AuditRow.objects.latest("sequence")
    assert (row.act, row.subject) == ("api.denied", f"POST /v2{path}"[:120])
    assert "by the vault's policy nobody may ask for a KeyGen" in row.detail


def test_key_info(tenant: Tenant) -> None:
    info = key_of(tenant, READ_SCOPES).get("/developers/api_key_info").json
    assert info["name"] == "limited"
    assert (info["callback_url"], info["valid_ips"], info["role_scopes"]) == ("", [], [])
    assert info["expired_timestamp"] is None
    assert type(info["created_timestamp"]) is type(info["updated_timestamp"]) is int
    assert info["scopes"] == sorted(READ_SCOPES)
