"""An organisation whose requests people look at, and browsers of those people."""

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

from audit import rationing
from tests.tss.asking import member, own
from tests.tss.nodes import Site
from vaults.models import Group

# What the fast lane leaves out beside the tests that say so themselves: a key is made by playing a request.
_COSTLY = {"keyed", "recovery_group"}


def pytest_itemcollected(item: pytest.Item) -> None:
    if _COSTLY & set(getattr(item, "fixturenames", ())):
        item.add_marker("slow")


@pytest.fixture(autouse=True)
def _no_rationing() -> None:
    """Rationing of audit rows is per process, tests are not."""
    rationing.forget()


@pytest.fixture
def site(db: None) -> Site:
    """Three holders, 2 of 3; Ann owns the node of Holder A."""
    made = Site.make()
    own(member(made, "ann", "approver"), made.signers[0])
    return made


@pytest.fixture
def keyed(site: Site) -> Site:
    """The same, with a key."""
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


def browser_of(username: str) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.get(username=username))
    return browser


@pytest.fixture
def ann(site: Site) -> Browser:
    """The browser of an approver who is no staff."""
    return browser_of("ann")


@pytest.fixture
def root(site: Site) -> Browser:
    """The browser of the site's administrator."""
    User.objects.create(username="root", is_staff=True, is_superuser=True)
    return browser_of("root")
