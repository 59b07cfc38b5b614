"""Fixtures of the workflow tests."""

import pytest

from audit import rationing
from tests.tss.nodes import Site
from vaults.models import Group

# What the fast lane leaves out beside the tests that say so themselves: real commits are undone by emptying
# every table, and a key is made by playing a whole request.
_COSTLY = {"transactional_db", "keyed", "recovery_group", "signing_group"}


def pytest_itemcollected(item: pytest.Item) -> None:
    marker = item.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction", False)
    if commits or _COSTLY & set(getattr(item, "fixturenames", ())):
        item.add_marker("slow")


@pytest.fixture(autouse=True)
def _no_rationing() -> None:
    """Rationing of audit rows is per process, tests are not."""
    rationing.forget()


@pytest.fixture
def site(db: None) -> Site:
    """Three holders, 2 of 3."""
    return Site.make()


@pytest.fixture
def keyed(site: Site) -> Site:
    """Three holders, 2 of 3, who have made a key."""
    site.succeeded()
    site.group.refresh_from_db()
    return site


@pytest.fixture
def recovery_group(keyed: Site) -> Group:
    """2 of 3: Erin, Frida and Holder C of the Main group, with shares."""
    group = keyed.new_group(type="RecoveryGroup", signers=[*keyed.join("Erin", "Frida"), keyed.signers[2]])
    keyed.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    group.refresh_from_db()
    return group


@pytest.fixture
def signing_group(keyed: Site) -> Group:
    """2 of 2: Dora and Holder A of the Main group, with shares."""
    group = keyed.new_group(type="SigningGroup", signers=[*keyed.join("Dora"), keyed.signers[0]])
    keyed.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    group.refresh_from_db()
    return group
