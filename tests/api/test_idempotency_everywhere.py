"""A02-A05 on every POST of the URL map: one key stands for one act, whichever call it is."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from audit.models import AuditRow
from tests.api.client import Client, SignedCall, now_ms, send_and_lose_the_answer
from tests.api.conftest import ACTOR, VAULT_CREATED, Tenant, enrol
from tests.api.test_replay import in_parallel
from tests.api.test_tenants import routes
from tss.models import TssRequest
from vaults import services
from vaults.models import ApiKey, Group, SignedRequest
from vaults.scopes import ALL_SCOPES

# The database decides these races: both databases have to.
pytestmark = [pytest.mark.embedded, pytest.mark.slow]

AT_ONCE = 50
GROUP = "/wallets/mpc/vaults/{vault_id}/key_share_holder_groups"
ENDPOINT = "/webhooks/endpoints/{endpoint_id}"
REQUEST = "/wallets/mpc/vaults/{vault_id}/tss_requests"


@dataclass
class Post:
    """A call that succeeds once, and that would leave another trace or fail if it ran again."""

    ids: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None


def _project(tenant: Tenant) -> Post:
    return Post(body={"name": "once", "participants": 3, "threshold": 2})


def _vault(tenant: Tenant) -> Post:
    return Post(body={"name": "once", "vault_type": "Org-Controlled"})


def _group(tenant: Tenant) -> Post:
    return Post({"vault_id": tenant.vault()}, tenant.group_body())


def _in_group(tenant: Tenant) -> Post:
    vault_id = tenant.vault()
    return Post({"vault_id": vault_id, "key_share_holder_group_id": tenant.group(vault_id)})


def _replace(tenant: Tenant) -> Post:
    post = _in_group(tenant)
    # As it is once the group has a key.
    Group.objects.filter(pk=post.ids["key_share_holder_group_id"]).update(status="Valid")
    post.ids["tss_node_id"] = tenant.node_ids[0]
    post.body = {"new_tss_node_id": enrol("spare", tenant.organisation).tss_node_id}
    return post


def _request(tenant: Tenant) -> Post:
    post = _in_group(tenant)
    return Post(post.ids, tenant.key_gen_body(post.ids["key_share_holder_group_id"]))


def _native_request(tenant: Tenant) -> Post:
    post = _in_group(tenant)
    return Post(post.ids, {"type": "KeyGen", "target_group_id": post.ids["key_share_holder_group_id"]})


def _on_request(tenant: Tenant) -> Post:
    ids = _in_group(tenant).ids
    return Post(ids | {"tss_request_id": tenant.request(ids["vault_id"], ids["key_share_holder_group_id"])})


def _retry(tenant: Tenant) -> Post:
    post = _on_request(tenant)
    # As it is after an attempt in which a holder stayed away.
    TssRequest.objects.filter(pk=post.ids["tss_request_id"]).update(state="Failed", retryable=True)
    return post


def _endpoint(tenant: Tenant) -> Post:
    return Post(body={"url": "https://hooks.example.com/once", "subscribed_events": [VAULT_CREATED]})


def _on_endpoint(tenant: Tenant) -> Post:
    return Post({"endpoint_id": tenant.endpoint()}, {})


def _resend_since(tenant: Tenant) -> Post:
    post = _on_endpoint(tenant)
    tenant.event(post.ids["endpoint_id"])
    return Post(post.ids, {"since": now_ms() - 60_000})


def _on_event(tenant: Tenant) -> Post:
    ids = _on_endpoint(tenant).ids
    return Post(ids | {"event_id": tenant.event(ids["endpoint_id"])})


def _test_event(tenant: Tenant) -> Post:
    tenant.endpoint()
    return Post(body={"event_type": VAULT_CREATED})


POSTS: dict[str, Callable[[Tenant], Post]] = {
    "/wallets/mpc/projects": _project,
    "/wallets/mpc/vaults": _vault,
    GROUP: _group,
    f"{GROUP}/{{key_share_holder_group_id}}/delete": _in_group,
    REQUEST: _request,
    f"{REQUEST}/{{tss_request_id}}/cancel": _on_request,
    "/vaults/{vault_id}/groups/{key_share_holder_group_id}/holders/{tss_node_id}/replace": _replace,
    "/vaults/{vault_id}/requests": _native_request,
    "/requests/{tss_request_id}/cancel": _on_request,
    "/requests/{tss_request_id}/retry": _retry,
    "/webhooks/endpoints": _endpoint,
    f"{ENDPOINT}/rotate_secret": _on_endpoint,
    f"{ENDPOINT}/resend": _resend_since,
    f"{ENDPOINT}/events/{{event_id}}/retry": _on_event,
    f"{ENDPOINT}/events/{{event_id}}/resend": _on_event,
    "/webhooks/events/trigger": _test_event,
}


@dataclass
class Prepared:
    """A call that is signed anew each time, under one key."""

    client: Client
    path: str
    body: dict[str, Any] | None

    def call(self, *, nonce: int | None = None, client: Client | None = None, **more: Any) -> SignedCall:
        body = self.body if not more else (self.body or {}) | more
        return (client or self.client).sign("POST", self.path, body=body, nonce=nonce, idempotency_key="k")


@pytest.fixture(params=POSTS)
def prepared(request: pytest.FixtureRequest, tenant: Tenant) -> Prepared:
    post = POSTS[request.param](tenant)
    return Prepared(tenant.client, request.param.format(**post.ids), post.body)


def acts() -> list[tuple[str, str]]:
    """What was done, without what was refused."""
    return list(AuditRow.objects.exclude(act="api.denied").order_by("sequence").values_list("act", "subject"))


def test_every_post_of_the_url_map_is_here() -> None:
    mapped = {re.sub(r"<id:(\w+)>", r"{\1}", path) for method, path in routes() if method == "POST"}
    assert mapped == set(POSTS)


def test_a02_fifty_at_once_act_once(prepared: Prepared) -> None:
    before = acts()
    # Fifty signatures: only the key says that they are one request.
    calls = [prepared.call(nonce=now_ms() + i) for i in range(AT_ONCE)]
    assert len({call.headers["Biz-Api-Signature"] for call in calls}) == AT_ONCE
    replies = in_parallel(prepared.client, calls)
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert SignedRequest.objects.filter(body=replies[0].body).exclude(fingerprint="").count() == 1
    after = acts()
    new = after[len(before) :]
    assert new
    assert len(set(new)) == len(new), "something was done twice"
    assert prepared.client.send(prepared.call()).body == replies[0].body
    assert acts() == after


def test_a03_the_same_key_with_another_body(prepared: Prepared) -> None:
    first = prepared.client.send(prepared.call())
    assert first.status == 201, first.body
    done = acts()
    other = prepared.client.send(prepared.call(description="other"))
    assert other.error == (422, 12009, "Idempotency-Key")
    assert "fingerprint" in other.json["error_message"]
    assert acts() == done
    again = prepared.client.send(prepared.call())
    assert (again.status, again.body) == (201, first.body)


def test_a04_the_same_key_of_another_principal_is_another_request(tenant: Tenant, prepared: Prepared) -> None:
    """Not even another API key of the same organisation gets the stored answer."""
    assert prepared.client.send(prepared.call()).status == 201
    key = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="second", scopes=ALL_SCOPES
    )
    reply = prepared.client.send(prepared.call(client=Client(key.secret)))
    assert reply.status != 422
    own = SignedRequest.objects.filter(api_key=ApiKey.objects.get(pk=key.api_key.pk)).exclude(fingerprint="")
    assert [bytes(row.body) for row in own] == [reply.body]


def test_a05_the_answer_is_lost_after_the_commit(prepared: Prepared) -> None:
    with pytest.raises(ConnectionResetError):
        send_and_lose_the_answer(prepared.call())
    # The fault happened after the commit: the answer is stored, and nobody has it.
    stored = SignedRequest.objects.exclude(fingerprint="").get()
    done = acts()
    assert stored.status == 201
    retry = prepared.client.send(prepared.call())
    assert (retry.status, retry.json) == (201, json.loads(bytes(stored.body)))
    assert acts() == done
