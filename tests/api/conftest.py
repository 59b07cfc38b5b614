"""Two organisations with keys, nodes, a vault, a group and a request each; and a service signer."""

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from audit import rationing
from tests.api.client import Client
from tests.wire.builders import card
from vaults import services
from vaults.actors import Actor
from vaults.api.base import Call
from vaults.models import ApiKey, Node, Organisation
from vaults.scopes import ALL_SCOPES

ACTOR = Actor.system("tests")
VAULT_CREATED = "mpc_vaults.created"
_names = itertools.count(1)


def enrol(name: str, organisation: Organisation | None) -> Node:
    """A node with a real identity; organisation None makes a service signer."""
    service = organisation is None
    code = services.create_enrolment_code(actor=ACTOR, organisation=organisation, name=name, service=service)
    kind = "service" if service else "api"
    return services.enrol_node(code=code, holder_card=card(name, kind=kind).to_json(), software="0.1.0")


@dataclass
class Tenant:
    """An organisation as its API user sees it."""

    organisation: Organisation
    api_key: ApiKey
    client: Client
    node_ids: list[str]

    def project(self) -> str:
        body = {"name": f"project {next(_names)}", "participants": 3, "threshold": 2}
        return str(_made(self.client.post("/wallets/mpc/projects", body))["project_id"])

    def vault(self) -> str:
        body = {"name": f"vault {next(_names)}", "vault_type": "Org-Controlled"}
        return str(_made(self.client.post("/wallets/mpc/vaults", body))["vault_id"])

    def holders(self, count: int = 3) -> list[dict[str, Any]]:
        return [
            {"name": f"holder {i}", "type": "API", "tss_node_id": node_id, "signer": i == 0}
            for i, node_id in enumerate(self.node_ids[:count])
        ]

    def group_body(self, **changes: Any) -> dict[str, Any]:
        body = {
            "key_share_holder_group_type": "MainGroup",
            "participants": 3,
            "threshold": 2,
            "key_share_holders": self.holders(),
        }
        return body | changes

    def group(self, vault_id: str) -> str:
        reply = self.client.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", self.group_body())
        return str(_made(reply)["key_share_holder_group_id"])

    def key_gen_body(self, group_id: str) -> dict[str, Any]:
        return {"type": "KeyGen", "target_key_share_holder_group_id": group_id, "description": "first key"}

    def request(self, vault_id: str, group_id: str) -> str:
        reply = self.client.post(f"/wallets/mpc/vaults/{vault_id}/tss_requests", self.key_gen_body(group_id))
        return str(_made(reply)["tss_request_id"])

    def endpoint(self, url: str = "https://hooks.example.com/quorate") -> str:
        body = {"url": url, "subscribed_events": [VAULT_CREATED], "description": "for tests"}
        return str(_made(self.client.post("/webhooks/endpoints", body))["endpoint_id"])

    def event(self, endpoint_id: str) -> str:
        """The id of a test event that is to be delivered to the endpoint."""
        _made(self.client.post("/webhooks/events/trigger", {"event_type": VAULT_CREATED}))
        newest = self.client.get(f"/webhooks/endpoints/{endpoint_id}/events", "limit=1").json["data"][0]
        return str(newest["event_id"])


def _made(reply: Any) -> Any:
    assert reply.status == 201, reply.body
    return reply.json


def make_tenant(name: str, *, curve: str = "ED25519") -> Tenant:
    organisation = services.create_organisation(actor=ACTOR, name=name)
    key = services.generate_api_key(
        actor=ACTOR, organisation=organisation, name=name, scopes=ALL_SCOPES, curve=curve
    )
    nodes = [enrol(f"{name} {i}", organisation) for i in range(3)]
    client = Client(key.secret, curve=curve)
    return Tenant(organisation, key.api_key, client, [node.tss_node_id for node in nodes])


@pytest.fixture(autouse=True)
def documented_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view reads no query parameter that the OpenAPI document does not name."""
    read = Call.query

    def query(call: Call, name: str) -> str:
        view = call._request._request.resolver_match.func.view_class  # type: ignore[union-attr]
        method = "GET" if call._request.method == "HEAD" else call._request.method
        # A view that describes nothing fails in test_openapi.py, and there only.
        if operation := view.operations.get(method):
            assert name in [each.name for each in operation.query], f"{view.__name__} reads {name}"
        return read(call, name)

    monkeypatch.setattr(Call, "query", query)


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    # Rationing of audit rows is per process, tests are not.
    rationing.forget()
    return make_tenant("acme")


@pytest.fixture
def other(tenant: Tenant) -> Tenant:
    return make_tenant("globex", curve="SECP256K1")


@pytest.fixture
def service_node(tenant: Tenant) -> Node:
    return enrol("service", None)
