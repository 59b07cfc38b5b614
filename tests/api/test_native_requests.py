"""Requests of every type through our own calls, and through the compatible ones what the vendor knows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import rationing
from tests.api.client import Client, Reply
from tests.tss.nodes import SYSTEM, Site, fresh, run_job
from tss import ceremonies, selectors
from tss.models import JobKind, TssRequest
from tss.representation import represent
from vaults import services
from vaults.api.pagination import page
from vaults.scopes import ALL_SCOPES

# The database decides these refusals and orders these pages: both databases have to.
pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@dataclass
class World:
    """An organisation whose Main group has a key, and a client with every right."""

    site: Site
    client: Client

    @property
    def requests(self) -> str:
        return f"/vaults/{self.site.vault.id}/requests"

    @property
    def compatible(self) -> str:
        return f"/wallets/mpc/vaults/{self.site.vault.id}/tss_requests"

    def ask(self, **body: Any) -> Any:
        reply = self.client.post(self.requests, body)
        assert reply.status == 201, reply.body
        return reply.json

    def refresh(self) -> Any:
        return self.ask(type="Refresh", target_group_id=str(self.site.group.id))

    def row(self, shown: dict[str, Any]) -> TssRequest:
        return fresh(TssRequest(pk=shown["tss_request_id"]))


@pytest.fixture
def world(transactional_db: None) -> World:
    rationing.forget()
    site = Site.make()
    site.succeeded()
    site.group.refresh_from_db()
    key = services.generate_api_key(
        actor=SYSTEM, organisation=site.organisation, name="client", scopes=ALL_SCOPES
    )
    return World(site, Client(key.secret))


def test_refresh_from_its_making_to_its_success(world: World) -> None:
    made = world.refresh()
    assert (made["type"], made["state"], made["status"]) == (
        "Refresh",
        "AwaitingApproval",
        "PendingKeyHolderConfirmation",
    )
    path = f"/requests/{made['tss_request_id']}"
    assert world.client.get(path).json == made
    assert world.client.get(f"{path}/explain").json["waiting_for"][0]["code"] == "approval_missing"
    site = world.site
    site.finish(site.start(site.approve(world.row(made))))
    assert world.client.get(path).json["status"] == "Success"
    timeline = world.client.get(f"{path}/timeline").json
    assert timeline["entries"][0]["kind"] == "created"
    intent = world.client.get(f"{path}/intent").json
    assert intent["digest"] == made["digest"]
    assert intent["intent"]["type"] == "Refresh"
    assert intent["certificate"]
    approvals = world.client.get(f"{path}/approvals").json
    assert [entry["name"] for entry in approvals["decisions"]] == ["Holder A", "Holder B", "Holder C"]
    assert world.client.get(f"{path}/evidence").json == {"evidence": []}


def test_every_type_is_asked_for(world: World) -> None:
    site = world.site
    dora, erin = site.join("Dora", "Erin")
    signing = site.new_group(type="SigningGroup", signers=[dora, site.signers[0]])
    main = str(site.group.id)
    sharing = world.ask(type="KeyGenFromKeyGroup", target_group_id=str(signing.id), source_group_id=main)
    site.finish(site.start(site.approve(world.row(sharing))))
    reshare = world.ask(
        type="Reshare",
        target_group_id=main,
        threshold=3,
        holders=[{"tss_node_id": each.node_id, "signer": True} for each in (*site.signers, erin)],
    )
    site.finish(site.start(site.approve(world.row(reshare))))
    policy = world.ask(type="PolicyChange", policy={"erase_grace": 0})
    site.approve(world.row(policy))
    run_job(JobKind.START_CEREMONY, policy["tss_request_id"])
    role = world.ask(type="RoleChange", target_group_id=str(signing.id), original_main="signing")
    site.approve(world.row(role))
    run_job(JobKind.START_CEREMONY, role["tss_request_id"])
    states = {
        entry["type"]: entry["state"] for entry in world.client.get("/requests", "limit=50").json["data"]
    }
    assert states == dict.fromkeys(
        ("KeyGen", "KeyGenFromKeyGroup", "Reshare", "PolicyChange", "RoleChange"), "Succeeded"
    )
    group = world.client.get(f"/wallets/mpc/vaults/{site.vault.id}/key_share_holder_groups/{signing.id}")
    assert group.json["type"] == "MainGroup"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, (400, 2003, "type")),
        ({"type": "Export"}, (400, 2006, "type")),
        ({"type": "Refresh"}, (400, 2003, "target_group_id")),
        ({"type": "Refresh", "target_group_id": "x"}, (400, 2006, "target_group_id")),
        ({"type": "Refresh", "target_group_id": "MAIN", "threshold": 3}, (400, 2006, "threshold")),
        ({"type": "Refresh", "target_group_id": "MAIN", "threshold": "3"}, (400, 2006, "threshold")),
        (
            {"type": "Refresh", "target_group_id": "MAIN", "source_node_ids": "x"},
            (400, 2006, "source_node_ids"),
        ),
        # No database stores it.
        (
            {"type": "PolicyChange", "policy": {"erase_grace": 0}, "source_node_ids": ["\x00"]},
            (400, 2006, "source_node_ids"),
        ),
        (
            {"type": "Reshare", "target_group_id": "MAIN", "threshold": 2, "holders": [{"tss_node_id": "x"}]},
            (400, 2006, "holders"),
        ),
        ({"type": "Recovery", "target_group_id": "MAIN"}, (400, 2003, "source_group_id")),
        ({"type": "Reshare", "target_group_id": "MAIN", "holders": [1]}, (400, 2006, "holders[0]")),
        ({"type": "Reshare", "target_group_id": "MAIN", "holders": []}, (400, 2003, "holders")),
        ({"type": "PolicyChange"}, (400, 2003, "policy")),
        ({"type": "PolicyChange", "policy": [1]}, (400, 2006, "policy")),
        ({"type": "RoleChange", "target_group_id": "MAIN"}, (400, 2006, "original_main")),
        ({"type": "KeyGen", "target_group_id": "MAIN"}, (400, 2029, "target_group_id")),
        ({"type": "Refresh", "target_group_id": "MAIN", "description": "\u0007"}, (400, 2006, "description")),
    ],
)
def test_errors_name_the_native_fields(
    world: World, body: dict[str, Any], error: tuple[int, int, str]
) -> None:
    main = str(world.site.group.id)
    body = {name: main if value == "MAIN" else value for name, value in body.items()}
    assert world.client.post(world.requests, body).error == error


def test_compatible_calls_show_the_vendors_types_only(world: World) -> None:
    made = world.refresh()
    listed = world.client.get(world.compatible, f"key_share_holder_group_id={world.site.group.id}").json
    assert [entry["type"] for entry in listed["data"]] == ["KeyGen"]
    assert listed["pagination"]["total_count"] == 1
    path = f"{world.compatible}/{made['tss_request_id']}"
    assert world.client.get(path).error == (404, 2028, "")
    assert world.client.post(f"{path}/cancel").error == (404, 2028, "")


def test_compatible_key_gen_from_key_group(world: World) -> None:
    site = world.site
    target = site.new_group(type="SigningGroup", signers=site.join("Dora", "Erin"))
    named = [signer.node_id for signer in site.signers[1:]]
    body = {
        "type": "KeyGenFromKeyGroup",
        "target_key_share_holder_group_id": str(target.id),
        "source_key_share_holder_group": {
            "key_share_holder_group_id": str(site.group.id),
            "tss_node_ids": named,
        },
    }
    made = world.client.post(world.compatible, body)
    assert made.status == 201
    assert made.json["source_key_share_holder_group"] == body["source_key_share_holder_group"]
    assert made.json["approvals"]["votes"][0]["of"] == named
    assert world.client.get(f"{world.compatible}/{made.json['tss_request_id']}").json == made.json


def test_r29_compatible_call_carries_our_override(world: World) -> None:
    site = world.site
    target = site.new_group(type="RecoveryGroup", signers=[*site.join("Dora"), *site.signers[:2]])
    body = {
        "type": "KeyGenFromKeyGroup",
        "target_key_share_holder_group_id": str(target.id),
        "source_key_share_holder_group": {"key_share_holder_group_id": str(site.group.id)},
    }
    assert world.client.post(world.compatible, body).error[:2] == (400, 2006)
    assert world.client.post(world.compatible, body | {"accept_overlap": True}).status == 201


def test_lists_are_pages_without_a_total(world: World) -> None:
    for _ in range(3):
        made = world.refresh()
        assert world.client.post(f"/requests/{made['tss_request_id']}/cancel").json["state"] == "Cancelled"
    seen: list[str] = []
    query = "limit=2"
    while True:
        found = world.client.get("/requests", query).json
        assert set(found["pagination"]) == {"before", "after"}
        seen += [entry["tss_request_id"] for entry in found["data"]]
        if not found["pagination"]["after"]:
            break
        query = f"limit=2&after={found['pagination']['after']}"
    newest_first = TssRequest.objects.order_by("-created_at", "-id").values_list("pk", flat=True)
    assert seen == list(newest_first)


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("", ["Refresh", "KeyGen"]),
        ("type=KeyGen", ["KeyGen"]),
        ("state=AwaitingApproval", ["Refresh"]),
        ("type=KeyGen&state=AwaitingApproval", []),
        ("state=Succeeded", ["KeyGen"]),
    ],
)
def test_filters(world: World, query: str, types: list[str]) -> None:
    world.refresh()
    for path in (world.requests, "/requests"):
        assert [entry["type"] for entry in world.client.get(path, query).json["data"]] == types


def test_filters_by_group_and_vault(world: World) -> None:
    world.refresh()
    other = world.site.new_group(type="SigningGroup")
    get = world.client.get
    assert len(get(world.requests, f"group={world.site.group.id}").json["data"]) == 2
    assert get(world.requests, f"group={other.id}").json["data"] == []
    assert len(get("/requests", f"vault_id={world.site.vault.id}").json["data"]) == 2
    unknown = "00000000-0000-4000-8000-000000000002"
    assert get("/requests", f"vault_id={unknown}").error == (404, 2028, "")
    for path, query, field in (
        ("/requests", "vault_id=x", "vault_id"),
        ("/requests", "type=Sign", "type"),
        ("/requests", "state=Done", "state"),
        (world.requests, "group=x", "group"),
    ):
        assert get(path, query).error == (400, 2006, field)


def test_retry_and_cancel(world: World) -> None:
    made = world.refresh()
    path = f"/requests/{made['tss_request_id']}"
    assert world.client.post(f"{path}/retry").error == (400, 2029, "")
    ceremony = world.site.start(world.site.approve(world.row(made)))
    assert world.client.post(f"{path}/cancel").error == (400, 2029, "")
    ceremonies.fail(ceremony, actor=SYSTEM, reason="timed out", blamed=[])
    assert world.client.get(f"{path}/explain").json["retry"]["possible"] is True
    retried = world.client.post(f"{path}/retry")
    assert (retried.status, retried.json["state"], retried.json["attempt"]) == (201, "Approved", 2)
    cancelled = world.client.post(f"{path}/cancel")
    assert (cancelled.status, cancelled.json["status"]) == (201, "KeyHolderConfirmationFailed")


@pytest.mark.parametrize(
    ("scopes", "call", "status"),
    [
        (["mpc_key_group.read"], lambda w, i, c: c.get(f"/requests/{i}/explain"), 200),
        (["mpc_key_group.create"], lambda w, i, c: c.get(f"/requests/{i}"), 403),
        (["mpc_key_group.read"], lambda w, i, c: c.post(w.requests, {"type": "Refresh"}), 403),
        (["mpc_key_group.create"], lambda w, i, c: c.post(f"/requests/{i}/cancel"), 403),
        (["mpc_key_group.delete"], lambda w, i, c: c.post(f"/requests/{i}/cancel"), 201),
        (["mpc_key_group.delete"], lambda w, i, c: c.post(f"/requests/{i}/retry"), 403),
    ],
)
def test_scopes(
    world: World, scopes: list[str], call: Callable[[World, str, Client], Reply], status: int
) -> None:
    made = world.refresh()
    key = services.generate_api_key(
        actor=SYSTEM, organisation=world.site.organisation, name="other", scopes=scopes
    )
    assert call(world, made["tss_request_id"], Client(key.secret)).status == status


def test_a_list_costs_the_same_however_long_it_is(world: World) -> None:
    """Three queries: the requests, their approvals, their voters."""

    class Query:
        @staticmethod
        def query(name: str) -> str:
            return "50" if name == "limit" else ""

    def queries() -> int:
        rows = selectors.requests(world.site.organisation)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page(rows, Query(), shape=represent)  # type: ignore[arg-type]
        return len(captured)

    before = queries()
    for number in range(5):
        target = world.site.new_group(
            type="SigningGroup", signers=world.site.join(f"{number} a", f"{number} b")
        )
        request = world.site.request(
            target, type="KeyGenFromKeyGroup", source_group_id=str(world.site.group.id)
        )
        world.site.signers[0].decide(request)
    assert queries() == before == 3
