"""T07: a hundred thousand requests that ended: pages and letters read by index, and little."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser

from dashboard import letters
from tests.dashboard.test_pages import PLAIN, read
from tests.tss.nodes import SYSTEM, Site
from tests.tss.test_many_requests import analyse, copy, scans
from tss.models import TssRequest
from vaults import services as vaults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_t07_pages_and_letters_beside_many_requests_that_ended(
    site: Site, ann: Browser, root: Browser
) -> None:
    with connection.cursor() as cursor:
        # As in tests/tss/test_many_requests.py.
        cursor.execute("SET LOCAL statement_timeout = 0")
    request = site.request()
    ended = {"id": "lpad(n::text, 32, '0')", "digest": "lpad(n::text, 64, '0')", "state": "'Succeeded'"}
    copy("tss_tssrequest", request.pk, **ended)
    analyse()
    assert cost(lambda: list(TssRequest.objects.filter(description="no index"))) == (1, True)
    for browser in (ann, root):
        for name in PLAIN:
            queries, scanned = cost(lambda: read(browser, name))  # noqa: B023
            assert (scanned, queries <= (12 if name == "inbox" else 25)) == (False, True), name
        for name, key in (("vault", str(site.vault.id)), ("request", request.id)):
            assert not cost(lambda: read(browser, name, key))[1], name  # noqa: B023
    vaults.set_email(actor=SYSTEM, user=User.objects.get(username="ann"), email="ann@example.com")
    for _ in range(2):
        assert not cost(letters.write_due)[1]
    assert len(letters.due()) == 1


def cost(act: Callable[[], object]) -> tuple[int, bool]:
    """How many queries `act` makes, and whether one reads all requests; the other tables are small here."""
    queries, scanned = scans(act)
    return queries, "tss_tssrequest" in scanned
