"""The OpenAPI document says all there is, and is what a browser can show. What it says of answers is checked
wherever a test gets one (tests/api/conformance.py); what it takes, by tests/api/test_fuzz.py."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.contrib.staticfiles import finders
from django.urls import get_resolver

from config import openapi
from tests.api.client import Reply, SignedCall, send
from tests.api.test_tenants import patterns, routes
from vaults.api.base import ApiView

# The site's answers are signed with a key that may come from the database.
pytestmark = pytest.mark.django_db(transaction=True)


def get(path: str, **headers: str) -> Reply:
    return send(SignedCall("GET", path, "", b"", headers))


def shown(path: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{path}")


def test_no_path_is_missing() -> None:
    """From the URL map by another way than the document's own."""
    paths = openapi.document()["paths"]
    there = {shown(path) for path, _ in patterns(get_resolver()) if path.startswith("v2/")}
    assert there == set(paths)
    for method, path in routes():
        assert method.lower() in paths[shown(f"v2{path}")], (method, path)


def test_every_operation_says_what_it_takes_and_answers() -> None:
    names = set()
    for path, item in openapi.document()["paths"].items():
        for method in set(item) - {"parameters"}:
            operation = item[method]
            names.add(operation["operationId"])
            good = next(each for status, each in operation["responses"].items() if status.startswith("2"))
            [content] = good["content"].values()
            assert content["schema"], f"{method} {path}: give its view `operations` (vaults.api.operations)"
            assert operation["summary"]
            assert "security" in operation
            assert {"400", "500"} <= set(operation["responses"])
            signed = {"Signature", "ApiKey", "Nonce"}
            if operation["security"]:
                assert set(operation["security"][0]) == signed
                assert {"401", "429"} <= set(operation["responses"])
    assert len(names) == sum(len(set(item) - {"parameters"}) for item in openapi.document()["paths"].values())


def test_a_view_that_says_nothing_is_there_all_the_same() -> None:
    class Undescribed(ApiView):
        scopes = {"POST": "webhook.edit"}

    operation = openapi._operation("/v2/things/<id:thing_id>", "POST", Undescribed)
    assert set(operation["responses"]) == {"201", "400", "401", "403", "404", "422", "429", "500"}
    assert "webhook.edit" in operation["description"]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_the_document_is_whole() -> None:
    document = openapi.document()
    assert document["openapi"] == "3.1.0"
    for reference in references(document):
        found: Any = document
        for key in reference.removeprefix("#/").split("/"):
            found = found[key]
        assert found
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name
    unused = set(document["components"]["schemas"]) - {each.split("/")[-1] for each in references(document)}
    assert not unused


def test_anybody_may_read_it_and_its_answer_is_signed() -> None:
    reply = get("/v2/openapi.json")
    assert reply.status == 200
    assert reply.json == json.loads(json.dumps(openapi.document()))
    assert get("/v2/openapi.json", **{"If-None-Match": reply.headers["etag"]}).status == 304
    assert send(SignedCall("POST", "/v2/openapi.json", "", b"{}", {})).error == (405, 2002, "")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    reply = get("/docs/api")
    assert reply.status == 200
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    html = reply.body.decode()
    # No script, style or handler in the page itself: the policy would refuse them.
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", html)
    for path in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert path.startswith("/"), path
        assert get(path).status == 200, path
    script = Path(str(finders.find("api_docs/page.js"))).read_text()
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", script)
