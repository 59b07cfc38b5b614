"""The native lists: every filter, every order, cursors that fit, and nothing that can be bent (A14)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from tests.api.conftest import Tenant
from tss.api.filters import DIRECTIONS, SORT_BY
from tss.models import RequestType, State, TssRequest
from tss.representation import milliseconds

# The database decides order and matches: both databases have to.
pytestmark = pytest.mark.embedded

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """A tenant with one request by API and twelve more like it, numbered from 0; the first is the oldest."""

    tenant: Tenant
    vault_id: str
    group_id: str
    rows: list[TssRequest]

    def numbers(self, query: str, path: str = "/requests") -> list[int]:
        """Which of the twelve a list shows, in its order."""
        reply = self.tenant.client.get(path, f"limit=50&{query}")
        assert reply.status == 200, reply.body
        known = {row.pk: number for number, row in enumerate(self.rows)}
        return [known[each["tss_request_id"]] for each in reply.json["data"]]


@pytest.fixture
def world(tenant: Tenant) -> World:
    vault_id = tenant.vault()
    group_id = tenant.group(vault_id)
    made = TssRequest.objects.get(pk=tenant.request(vault_id, group_id))
    states = [State.SUCCEEDED, State.REJECTED, State.EXPIRED]
    types = [RequestType.KEY_GEN, RequestType.REFRESH]
    rows = []
    for number in range(12):
        row = TssRequest.objects.get(pk=made.pk)
        row.pk, row.digest = f"{number:032d}", f"{number:064x}"
        row.state, row.type = states[number % 3], types[number % 2]
        row.created_at = BEGAN + timedelta(hours=number)
        # Updated in the opposite order, and they expire three at a time.
        row.updated_at = BEGAN + timedelta(days=10 - number)
        row.expires_at = BEGAN + timedelta(days=20 + number // 3)
        row.description = f"Invoice {number:03d} of 100%"
        rows.append(row)
    made.delete()
    TssRequest.objects.bulk_create(rows)
    return World(tenant, vault_id, group_id, rows)


def hours(number: int) -> int:
    return milliseconds(BEGAN + timedelta(hours=number))


ALL = list(range(12))


FILTERS: list[tuple[str, list[int]]] = [
    ("", ALL[::-1]),
    ("direction=ASC", ALL),
    ("sort_by=created_timestamp&direction=DESC", ALL[::-1]),
    ("sort_by=updated_timestamp", ALL),
    ("sort_by=updated_timestamp&direction=ASC", ALL[::-1]),
    # Equal times: by id.
    ("sort_by=expires_timestamp", ALL[::-1]),
    ("sort_by=expires_timestamp&direction=ASC", ALL),
    ("state=Rejected&direction=ASC", [1, 4, 7, 10]),
    ("status=KeyHolderConfirmationFailed&direction=ASC", [1, 2, 4, 5, 7, 8, 10, 11]),
    ("status=Success&direction=ASC", [0, 3, 6, 9]),
    ("status=Success&state=Rejected", []),
    ("type=Refresh&direction=ASC", [1, 3, 5, 7, 9, 11]),
    ("type=Refresh&status=Success&direction=ASC", [3, 9]),
    (f"min_created_timestamp={hours(10)}", [11, 10]),
    (f"max_created_timestamp={hours(1)}", [1, 0]),
    (f"min_created_timestamp={hours(4)}&max_created_timestamp={hours(5)}", [5, 4]),
    (f"max_updated_timestamp={milliseconds(BEGAN)}&direction=ASC", [10, 11]),
    (f"min_updated_timestamp={milliseconds(BEGAN + timedelta(days=9))}", [1, 0]),
    ("text=iNVOICE%20003", [3]),
    ("text=invoice%2000&sort_by=updated_timestamp&state=Rejected", [1, 4, 7]),
    ("text=nothing", []),
    # What means something to a database means nothing here.
    ("text=Inv%25ice", []),
    ("text=Invoice%20_", []),
    ("text=Invoice%20003%5C", []),
    ("text='%20OR%201=1--", []),
]


def test_filters_and_orders(world: World) -> None:
    for query, numbers in FILTERS:
        assert world.numbers(query) == numbers, query
        assert world.numbers(query, f"/vaults/{world.vault_id}/requests") == numbers, query
    assert world.numbers(f"state=Rejected&group={world.group_id}&vault_id={world.vault_id}") == [10, 7, 4, 1]


def test_text_inside_a_description(world: World) -> None:
    """Postgres has an index for it; SQLite looks at the beginning only."""
    numbers = world.numbers("text=03%20of%20100%25")
    assert numbers == ([3] if connection.vendor == "postgresql" else [])


def test_groups_and_vaults_of_nobody(world: World) -> None:
    other_group = world.tenant.group(world.tenant.vault())
    assert world.numbers(f"group={other_group}") == []
    assert world.numbers("", f"/vaults/{world.tenant.vault()}/requests") == []


def test_pages_forth_and_back_in_every_order(world: World) -> None:
    for sort_by, direction in itertools.product(SORT_BY, DIRECTIONS):
        forth_and_back(world, f"sort_by={sort_by}&direction={direction}")


def forth_and_back(world: World, order: str) -> None:
    expected = world.numbers(order)
    known = {row.pk: number for number, row in enumerate(world.rows)}

    def walk(cursor: str, query: str) -> list[list[int]]:
        pages = []
        while True:
            reply = world.tenant.client.get("/requests", f"limit=5&{order}&{query}").json
            pages.append([known[each["tss_request_id"]] for each in reply["data"]])
            if not reply["pagination"][cursor]:
                return pages
            query = f"{cursor}={reply['pagination'][cursor]}"

    assert walk("after", "") == [expected[:5], expected[5:10], expected[10:]]
    last = world.tenant.client.get("/requests", f"limit=5&{order}").json["pagination"]["after"]
    second = world.tenant.client.get("/requests", f"limit=5&{order}&after={last}").json["pagination"]
    assert walk("before", f"before={second['before']}") == [expected[:5]]


def test_a_page_is_the_same_while_new_requests_come(world: World) -> None:
    first = world.tenant.client.get("/requests", "limit=4").json
    new = world.rows[0]
    new.pk, new.digest, new.created_at = f"{99:032d}", "9" * 64, BEGAN + timedelta(days=1)
    TssRequest.objects.bulk_create([new])
    after = world.tenant.client.get("/requests", f"limit=4&after={first['pagination']['after']}").json
    assert [each["tss_request_id"] for each in after["data"]] == [f"{n:032d}" for n in (7, 6, 5, 4)]


def bend(cursor: str) -> list[str]:
    position, _, signature = cursor.rpartition(":")
    return [
        "x",
        cursor[:-1],
        f"{cursor}A",
        f"{position}:{'A' * len(signature)}",
        f"A{cursor[1:]}",
        position,
        f":{signature}",
        "a" * 5000,
        "%00",
        "%F0%9F%94%91",
    ]


def test_a14_cursors_fit_one_list_in_one_order(world: World) -> None:
    get = world.tenant.client.get
    cursor = get("/requests", "limit=5").json["pagination"]["after"]
    for text in bend(cursor):
        for field in ("after", "before"):
            assert get("/requests", f"{field}={text}").error == (400, 2006, field)
    for order in ("direction=ASC", "sort_by=updated_timestamp", "sort_by=expires_timestamp&direction=ASC"):
        assert get("/requests", f"after={cursor}&{order}").error == (400, 2006, "after")
    assert get("/wallets/mpc/projects", f"after={cursor}").error == (400, 2006, "after")


def test_a14_a_cursor_of_another_tenant_opens_nothing(world: World, other: Tenant) -> None:
    cursor = world.tenant.client.get("/requests", "limit=5").json["pagination"]["after"]
    assert other.client.get("/requests", f"after={cursor}").json["data"] == []


BAD: list[tuple[str, str]] = [
    ("limit=51", "limit"),
    ("limit=1e1", "limit"),
    # Only the three times are orders: nothing else can be sorted by, secret or not.
    ("sort_by=intent", "sort_by"),
    ("sort_by=-created_timestamp", "sort_by"),
    ("sort_by=organisation__name", "sort_by"),
    ("direction=asc", "direction"),
    ("state=Done", "state"),
    ("status=Succeeded", "status"),
    ("type=Sign", "type"),
    ("group=x", "group"),
    ("min_created_timestamp=x", "min_created_timestamp"),
    ("min_created_timestamp=-1", "min_created_timestamp"),
    ("max_created_timestamp=1.5", "max_created_timestamp"),
    ("min_updated_timestamp=%D9%A3", "min_updated_timestamp"),
    ("max_updated_timestamp=999999999999999", "max_updated_timestamp"),
    ("text=ab", "text"),
    (f"text={'a' * 101}", "text"),
    ("text=abc%00", "text"),
]


def test_a14_bad_input_names_its_parameter(tenant: Tenant) -> None:
    for query, field in BAD:
        assert tenant.client.get("/requests", query).error == (400, 2006, field), query


def test_a01_another_tenants_vault_in_the_query(world: World, other: Tenant) -> None:
    assert other.client.get("/requests", f"vault_id={world.vault_id}").error == (404, 2028, "")
    assert other.client.get("/requests", f"group={world.group_id}").json["data"] == []
    assert other.client.get("/requests", "text=Invoice").json["data"] == []


ETAG_PATHS: dict[str, Callable[[World], tuple[str, str]]] = {
    "a list": lambda world: ("/requests", "limit=5"),
    "a list of the vendor": lambda world: ("/wallets/mpc/vaults", "vault_type=Org-Controlled"),
    "one request": lambda world: (f"/requests/{world.rows[0].pk}", ""),
    "one vault": lambda world: (f"/wallets/mpc/vaults/{world.vault_id}", ""),
}


def conditional(world: World, path: str, query: str, tags: str, method: str = "GET") -> Any:
    call = world.tenant.client.sign(method, path, query=query)
    call.headers["If-None-Match"] = tags
    return world.tenant.client.send(call)


def test_an_answer_that_the_caller_has_is_not_sent_again(world: World) -> None:
    """304, signed like every answer (CONTRACT); the client checks that."""
    for path, query in (case(world) for case in ETAG_PATHS.values()):
        full = world.tenant.client.get(path, query)
        etag = full.headers["etag"]
        for tags in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            reply = conditional(world, path, query, tags)
            assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", etag)
        for tags in ('"x"', etag.strip('"'), "", f'"{"x" * 2000}", {etag}'):
            assert conditional(world, path, query, tags).body == full.body
        assert conditional(world, path, query, etag, "HEAD").status == 304


def test_a_change_has_another_tag(world: World) -> None:
    path = f"/requests/{world.rows[0].pk}"
    etag = world.tenant.client.get(path).headers["etag"]
    TssRequest.objects.filter(pk=world.rows[0].pk).update(state_reason="changed")
    reply = conditional(world, path, "", etag)
    assert (reply.status, reply.json["state_reason"]) == (200, "changed")


def test_errors_and_writes_have_no_tag(world: World) -> None:
    assert conditional(world, "/requests/nothing", "", "*").status == 404
    assert "etag" not in world.tenant.client.post("/wallets/mpc/projects", {"name": ""}).headers
