"""The approvers' pages: to whom they open, what they cost, and that looking changes nothing."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse

from config.csp import HEADER, POLICY
from tests.dashboard.conftest import browser_of
from tests.tss.asking import member
from tests.tss.nodes import SYSTEM, Site, fresh
from tss.models import TssRequest
from vaults import services as vaults

PLAIN = ("index", "inbox", "vaults", "nodes", "states")
OF_A_REQUEST = ("request", "request_live", "ceremony", "ceremony_live", "request_intent", "request_audit")


def read(browser: Browser, name: str, *args: str, query: str = "") -> str:
    answer = browser.get(reverse(f"admin:{name}", args=args) + query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def pages(request: TssRequest) -> Iterator[str]:
    """The address of every page that is ours."""
    yield from (reverse(f"admin:{name}") for name in PLAIN)
    yield from (reverse(f"admin:{name}", args=[request.id]) for name in OF_A_REQUEST)
    yield reverse("admin:vault", args=[request.vault_id])


def everything() -> str:
    """Every row of the database but sessions, in words that differ when anything does."""
    rows = {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model is not Session
    }
    return json.dumps(rows, default=repr)


def without_token(answer: Any) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())


@pytest.mark.embedded
def test_looking_at_every_page_changes_nothing(keyed: Site, ann: Browser, root: Browser) -> None:
    request = keyed.request(type="Refresh")
    addresses = [*pages(request)]
    # None is forgotten here when one is added.
    framework = {each.name for each in AdminSite.get_urls(admin.site) if isinstance(each, URLPattern)}
    ours = {each.name for each in admin.site.get_urls() if isinstance(each, URLPattern)} - framework
    assert {*PLAIN, *OF_A_REQUEST, "vault"} - {"index"} == ours
    for model in admin.site._registry:
        label = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses.append(reverse(f"{label}_changelist"))
        row = model._default_manager.first()
        if row is not None:
            addresses.append(reverse(f"{label}_change", args=[row.pk]))
    before = everything()
    for browser in (ann, root):
        for address in addresses:
            answer = browser.get(address)
            assert answer.status_code == 200 or (browser is ann and answer.status_code == 403), address
            assert answer.headers[HEADER] == POLICY
    for address in pages(request):
        assert address == reverse("admin:index") or ann.post(address).status_code == 405, address
    assert everything() == before


def test_a01_another_organisations_rows_do_not_exist(keyed: Site, root: Browser) -> None:
    request = keyed.request(type="Refresh")
    other = vaults.create_organisation(actor=SYSTEM, name="Globex")
    user = User.objects.create(username="gus", is_staff=True)
    vaults.add_member(actor=SYSTEM, organisation=other, user=user, role="admin", name="Gus")
    gus = browser_of("gus")
    secrets = (request.id, str(keyed.vault.id), keyed.signers[0].node_id, "Treasury", "Holder A")
    for address in pages(request):
        answer = gus.get(address)
        own = any(address == reverse(f"admin:{name}") for name in PLAIN)
        assert answer.status_code == (200 if own else 404), address
        if own:
            text = answer.content.decode()
            assert not [secret for secret in secrets if secret in text], address
        # What is hidden answers as what does not exist.
        else:
            nothing = address.replace(request.id, "20000101000000" + "0" * 18)
            nothing = nothing.replace(str(request.vault_id), str(other.id))
            assert without_token(gus.get(nothing)) == without_token(answer)
    assert "Treasury" in read(root, "vaults")


def test_nobody_gets_in_without_a_login(site: Site) -> None:
    request = site.request()
    for address in pages(request):
        answer = Browser().get(address)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("admin:login"))
        assert answer.headers[HEADER] == POLICY


def test_the_inbox_holds_what_waits_for_ones_own_nodes(site: Site, ann: Browser, root: Browser) -> None:
    member(site, "ben", "approver")
    member(site, "ada", "admin")
    request = site.request()
    for browser, sees in ((ann, True), (browser_of("ben"), False), (browser_of("ada"), True), (root, True)):
        assert (request.id in read(browser, "inbox")) is sees
    assert "your vote: <bdi>Holder A</bdi>" in read(ann, "inbox")
    site.signers[0].decide(request)
    assert request.id not in read(ann, "inbox")
    assert request.id in read(root, "inbox")
    for signer in site.signers[1:]:
        signer.decide(request)
    assert fresh(request).state == "Approved"
    assert request.id not in read(root, "inbox")


def many_requests(site: Site, names: range) -> list[TssRequest]:
    """Requests in as many vaults, the last of which has the least time left."""
    made = []
    for each in names:
        vault = vaults.create_vault(
            actor=site.actor, organisation=site.organisation, name=f"Vault {each}", type="Org-Controlled"
        )
        request = site.request(site.new_group(vault=vault))
        TssRequest.objects.filter(pk=request.pk).update(
            expires_at=request.expires_at - timedelta(minutes=each)
        )
        made.append(request)
    return made


def queries(browser: Browser, name: str, *args: str) -> int:
    with CaptureQueriesContext(connection) as caught:
        read(browser, name, *args)
    return len(caught)


@pytest.mark.slow
def test_the_inbox_costs_the_same_however_many_wait(site: Site, ann: Browser, root: Browser) -> None:
    first = many_requests(site, range(1))
    costs = {name: queries(ann, name) for name in (*PLAIN, "inbox")}
    requests = [*first, *many_requests(site, range(1, 31))]
    for browser in (ann, root):
        assert queries(browser, "inbox") <= 12
    for name, cost in costs.items():
        assert queries(ann, name) <= cost, name
    text = read(ann, "inbox")
    shown = [request for request in reversed(requests) if request.id in text]
    assert len(shown) == 25
    places = [text.index(request.id) for request in shown]
    assert places == sorted(places)
    rest = read(ann, "inbox", query="?page=2")
    assert {request.id for request in requests} == {
        request.id for request in requests if request.id in text or request.id in rest
    }
    assert ann.get(reverse("admin:inbox") + "?page=x").status_code == 404


@pytest.mark.parametrize(
    "path", ["request/%00/", "request/%00/intent.json", "vault/%00/", f"inbox/?page={'9' * 5000}"]
)
def test_a06_what_names_nothing_is_not_found(ann: Browser, path: str) -> None:
    assert ann.get(f"/admin/{path}").status_code == 404
    assert ann.get("/account/requests/%00/receipt").status_code == 404


def test_downloads_are_what_the_api_answers(keyed: Site, ann: Browser) -> None:
    request = keyed.request(type="Refresh")
    answer = ann.get(reverse("admin:request_intent", args=[request.id]))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{request.id}.request.json"'
    assert answer.json()["canonical"] == request.intent
    rows: list[dict[str, Any]] = json.loads(read(ann, "request_audit", request.id))["rows"]
    assert [row["act"] for row in rows] == ["tss_request.created"]
    assert len(rows[0]["hash"]) == len(rows[0]["previous_hash"]) == 64


def test_every_answer_carries_the_policy(site: Site) -> None:
    assert "unsafe" not in POLICY
    for address in ("/admin/login/", "/livez", "/nowhere", "/static/dashboard/live.js"):
        assert Browser().get(address).headers[HEADER] == POLICY
    assert "config.csp.content_security_policy" in settings.MIDDLEWARE
