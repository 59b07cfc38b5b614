"""Cursor pages: every row once, forth and back, and no way to bend a cursor."""

import pytest

from tests.api.conftest import Tenant

# The database decides these races and refusals: both databases have to.
pytestmark = pytest.mark.embedded

PATH = "/wallets/mpc/projects"


@pytest.fixture
def names(tenant: Tenant) -> list[str]:
    """Seven projects, newest first."""
    names = [f"p{i}" for i in range(7)]
    for name in names:
        tenant.client.post(PATH, {"name": name, "participants": 2, "threshold": 2})
    return names[::-1]


def test_forth_and_back(tenant: Tenant, names: list[str]) -> None:
    pages, query = [], "limit=3"
    while True:
        page = tenant.client.get(PATH, query).json
        assert page["pagination"]["total_count"] == 7
        pages.append([project["name"] for project in page["data"]])
        if not page["pagination"]["after"]:
            break
        query = f"limit=3&after={page['pagination']['after']}"
    assert pages == [names[:3], names[3:6], names[6:]]
    while page["pagination"]["before"]:
        page = tenant.client.get(PATH, f"limit=3&before={page['pagination']['before']}").json
        pages.append([project["name"] for project in page["data"]])
    assert pages[3:] == [names[3:6], names[:3]]
    assert page["pagination"]["after"] != ""


def test_rows_added_meanwhile_do_not_shift_pages(tenant: Tenant, names: list[str]) -> None:
    first = tenant.client.get(PATH, "limit=4").json
    tenant.client.post(PATH, {"name": "new", "participants": 2, "threshold": 2})
    rest = tenant.client.get(PATH, f"limit=4&after={first['pagination']['after']}").json
    assert [project["name"] for project in rest["data"]] == names[4:]


def test_default_limit_is_ten(tenant: Tenant, names: list[str]) -> None:
    for i in range(5):
        tenant.client.post(PATH, {"name": f"q{i}", "participants": 2, "threshold": 2})
    assert len(tenant.client.get(PATH).json["data"]) == 10
    assert len(tenant.client.get(PATH, "limit=50").json["data"]) == 12


@pytest.mark.parametrize("limit", ["0", "51", "-1", "x", "1.0", "%D9%A3", "10000000000000"])
def test_limits(tenant: Tenant, limit: str) -> None:
    assert tenant.client.get(PATH, f"limit={limit}").error == (400, 2006, "limit")


def test_cursors_cannot_be_bent(tenant: Tenant, names: list[str]) -> None:
    cursor = tenant.client.get(PATH, "limit=3").json["pagination"]["after"]
    vault = tenant.vault()
    tenant.group(vault)
    tenant.group(vault)
    groups = f"/wallets/mpc/vaults/{vault}/key_share_holder_groups"
    foreign = tenant.client.get(groups, "limit=1").json["pagination"]["after"]
    for text in ("x", cursor[:-1], f"A{cursor[1:]}", f"{cursor}A", "a" * 5000, foreign):
        for field in ("after", "before"):
            assert tenant.client.get(PATH, f"{field}={text}").error == (400, 2006, field)
    assert tenant.client.get(PATH, f"after={cursor}&before={cursor}").error == (400, 2006, "before")
