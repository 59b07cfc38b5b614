"""A01: nobody reads or changes what belongs to another organisation, on any path that exists."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import AuditRow
from tests.api.conftest import Tenant
from tss.models import TssRequest
from vaults.models import Group, Project, Vault
from webhooks.models import Delivery, WebhookEndpoint

# The database decides these races and refusals: both databases have to.
pytestmark = [pytest.mark.embedded, pytest.mark.slow]

_PARAMETER = re.compile(r"<id:(\w+)>")


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, path)
        else:
            yield path, entry


def routes() -> list[tuple[str, str]]:
    """(method, path after /v2 with its parameters) of everything under /v2, from the URL map."""
    found = [
        (method, path.removeprefix("v2"))
        for path, entry in patterns(get_resolver())
        if path.startswith("v2/")
        for method in entry.callback.view_class.scopes  # type: ignore[attr-defined]
    ]
    assert len(found) >= 20
    return found


WITH_IDS = [route for route in routes() if "<" in route[1]]
# A stream does not end by itself: tests/api/test_event_stream.py.
STREAMS = ["/events/stream"]
LISTS = [path for method, path in routes() if method == "GET" and "<" not in path and path not in STREAMS]


def test_every_route_is_looked_at() -> None:
    for _, path in WITH_IDS:
        assert "<" not in _PARAMETER.sub("", path), "a parameter that this test would not fill in"


def ids_of(user: Tenant) -> dict[str, str]:
    vault_id = user.vault()
    group_id = user.group(vault_id)
    endpoint_id = user.endpoint()
    return {
        "endpoint_id": endpoint_id,
        "event_id": user.event(endpoint_id),
        "project_id": user.project(),
        "vault_id": vault_id,
        "key_share_holder_group_id": group_id,
        "tss_request_id": user.request(vault_id, group_id),
        "tss_node_id": user.node_ids[0],
    }


MODELS = (Project, Vault, Group, TssRequest, WebhookEndpoint, Delivery)


def snapshot() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in MODELS]


UNKNOWN = {
    "project_id": "00000000-0000-4000-8000-000000000001",
    "vault_id": "00000000-0000-4000-8000-000000000002",
    "key_share_holder_group_id": "00000000-0000-4000-8000-000000000003",
    "tss_request_id": "20240711114129000132315000003970",
    "tss_node_id": "quoNobody",
    "endpoint_id": "00000000-0000-4000-8000-000000000004",
    "event_id": "00000000-0000-4000-8000-000000000005",
}


def test_a01_ids_of_another_tenant_in_every_path(tenant: Tenant, other: Tenant) -> None:
    """A01: 404 for every mixture of own and foreign ids; same answer and same trace as for no object."""
    mine, theirs = ids_of(tenant), ids_of(other)
    before = snapshot()
    calls = 0
    for method, route in WITH_IDS:
        names = _PARAMETER.findall(route)
        for choice in itertools.product((mine, theirs), repeat=len(names)):
            if all(source is mine for source in choice):
                continue
            seen = []
            for foreign in (theirs, UNKNOWN):
                path = route
                for name, source in zip(names, choice, strict=True):
                    value = mine[name] if source is mine else foreign[name]
                    path = path.replace(f"<id:{name}>", value)
                rows = AuditRow.objects.count()
                body = {"name": "taken over"} if method != "GET" else None
                reply = tenant.client.send(tenant.client.sign(method, path, body=body))
                assert reply.error == (404, 2028, ""), (method, path)
                denial = AuditRow.objects.order_by("-sequence")[0]
                assert (denial.act, denial.subject) == ("api.denied", f"{method} /v2{path}"[:120])
                seen.append((reply.json["error_message"], AuditRow.objects.count() - rows))
                calls += 1
            assert seen[0] == seen[1], (method, route)
    assert calls > 40
    assert snapshot() == before


@pytest.mark.parametrize("path", LISTS)
def test_a01_lists_show_own_objects_only(tenant: Tenant, other: Tenant, path: str) -> None:
    mine, theirs = ids_of(tenant), ids_of(other)
    reply = tenant.client.get(path, "vault_type=Org-Controlled")
    assert reply.status == 200
    text = reply.body.decode()
    for name, value in theirs.items():
        assert value not in text, name
    assert str(other.organisation.id) not in text
    assert other.client.public_key not in text
    if path.endswith("/vaults"):
        assert mine["vault_id"] in text


def test_a01_ids_of_another_tenant_in_queries_and_bodies(tenant: Tenant, other: Tenant) -> None:
    mine, theirs = ids_of(tenant), ids_of(other)
    vault = f"/wallets/mpc/vaults/{mine['vault_id']}"
    get, post = tenant.client.get, tenant.client.post
    project = f"vault_type=User-Controlled&project_id={theirs['project_id']}"
    group = theirs["key_share_holder_group_id"]
    before = snapshot()
    replies = [
        get("/wallets/mpc/vaults", project),
        get(f"{vault}/key_share_holders", f"key_share_holder_group_ids={group}"),
        get(f"{vault}/tss_requests", f"key_share_holder_group_id={group}"),
        post(
            "/wallets/mpc/vaults",
            {"name": "x", "vault_type": "User-Controlled", "project_id": theirs["project_id"]},
        ),
        post(f"{vault}/tss_requests", tenant.key_gen_body(group)),
    ]
    assert [reply.error for reply in replies] == [(404, 2028, "")] * len(replies)
    holders = tenant.holders()
    holders[1]["tss_node_id"] = theirs["tss_node_id"]
    reply = post(f"{vault}/key_share_holder_groups", tenant.group_body(key_share_holders=holders))
    assert reply.error == (400, 2006, "key_share_holders[1].tss_node_id")
    assert snapshot() == before
