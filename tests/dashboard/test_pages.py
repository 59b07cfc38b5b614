"""The approvers' pages: what they say, to whom, and that looking changes nothing."""

from django.test import Client as Browser
from django.urls import reverse

from tests.tss.nodes import Site


def read(browser: Browser, name: str, *args: str, query: str = "") -> str:
    answer = browser.get(reverse(f"admin:{name}", args=args) + query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def test_every_page_opens(keyed: Site, ann: Browser, root: Browser) -> None:
    request = keyed.request(type="Refresh")
    for browser in (ann, root):
        for name in ("index", "inbox", "vaults", "nodes", "states"):
            read(browser, name)
        for name in ("request", "request_live", "ceremony", "ceremony_live", "request_intent", "request_audit"):
            read(browser, name, request.id)
        read(browser, "vault", str(keyed.vault.id))
