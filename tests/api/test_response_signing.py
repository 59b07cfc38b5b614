"""Every buffered answer under /v2 is signed, whoever made it."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import LazySettings
from nacl.signing import SigningKey

from config.response_signing import ResponseSigning, sign_body
from tests.api.client import Reply, SignedCall, send, verify
from tests.api.conftest import Tenant
from vaults import services
from vaults.api import views

# The site's key is read from the database, once in a process.
pytestmark = pytest.mark.django_db(transaction=True)

BODY = b'{"tss_request_id":"20240711114129000132315000003970","type":"KeyGen","status":"Success"}'
SIGNATURE = (
    "fc709ed0e690473fe3f2d290a2b0af5fdb6111800c1be908fd3bcdf32fc71f7f"
    "368ca10ab7ea95bab80074ce5c12a7751816a90ed0f634d3210e00f664d41703"
)


def test_worked_example() -> None:
    key = SigningKey(b"\x11" * 32)
    assert bytes(key.verify_key).hex() == "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"
    assert sign_body(key, BODY, "1720690000456") == SIGNATURE


def unsigned(method: str, path: str, **changes: Any) -> Reply:
    return send(SignedCall(method, path, "", b"", {}), **changes)


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/nothing/here", "/v2/wallets/mpc/vaults/", "/v2/%00"])
def test_unknown_paths(path: str) -> None:
    reply = unsigned("GET", path)
    assert reply.error == (404, 2028, "")
    assert len(reply.json["error_id"]) == 32


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "PUT"])
def test_unsupported_method(method: str) -> None:
    reply = unsigned(method, "/v2/wallets/mpc/vaults")
    assert reply.error == (405, 2002, "")
    assert reply.headers["allow"] == "GET, POST"


def test_unauthenticated() -> None:
    assert unsigned("GET", "/v2/wallets/mpc/vaults").error == (401, 2022, "")


def test_foreign_host_header(tenant: Tenant) -> None:
    assert send(tenant.client.sign("GET", "/developers/api_key_info"), host="evil.example").status == 400


def test_head_is_signed_over_what_arrives(tenant: Tenant) -> None:
    reply = tenant.client.send(tenant.client.sign("HEAD", "/developers/api_key_info"))
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 0
    assert unsigned("HEAD", "/v2/nothing").status == 404


def test_internal_error_tells_nothing_but_its_id(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret detail")

    monkeypatch.setattr(views.ApiKeyInfo, "answer_get", crash)
    monkeypatch.setattr(services, "create_vault", crash)
    body = {"name": "x", "vault_type": "Org-Controlled"}
    for reply in (
        tenant.client.get("/developers/api_key_info"),
        tenant.client.post("/wallets/mpc/vaults", body),
    ):
        assert reply.error == (500, 2000, "")
        assert b"secret detail" not in reply.body
        lines = [record for record in caplog.records if reply.json["error_id"] in record.getMessage()]
        assert len(lines) == 1
        assert lines[0].exc_info is not None
        assert "the secret detail" in str(lines[0].exc_info[1])


def through_layer(app: Any, *, method: str = "GET") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def take(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/v2/x"}
    async_to_sync(ResponseSigning(app))(scope, receive, take)
    return sent


def as_reply(sent: list[dict[str, Any]]) -> Reply:
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, sent[1]["body"])


def test_not_modified_is_signed_without_a_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": b""})

    reply = as_reply(through_layer(app))
    verify(reply)
    assert (reply.body, "content-length" in reply.headers) == (b"", False)


def test_an_answer_in_pieces_is_signed_as_one() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"a":', "more_body": True})
        await send({"type": "http.response.body", "body": b"1}"})

    reply = as_reply(through_layer(app))
    verify(reply)
    assert json.loads(reply.body) == {"a": 1}


def test_a_crash_outside_the_framework_is_a_signed_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("detail")

    reply = as_reply(through_layer(app))
    verify(reply)
    assert reply.error == (500, 2000, "")
    assert b"detail" not in reply.body


def test_an_event_stream_passes_at_once() -> None:
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        seen.append(len(sent))
        await send({"type": "http.response.body", "body": b""})

    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def take(message: Any) -> None:
        sent.append(message)

    async_to_sync(ResponseSigning(app))({"type": "http", "method": "GET", "path": "/v2/x"}, receive, take)
    assert seen == [2]
    assert (b"biz-timestamp" in dict(sent[0]["headers"])) is False


def test_the_key_is_published(settings: LazySettings) -> None:
    reply = unsigned("GET", "/.well-known/quorate-response-key")
    expected = bytes(SigningKey(settings.QUORATE["RESPONSE_SIGNING_KEY"]).verify_key).hex()
    assert reply.json["public_key"] == expected
    assert "biz-timestamp" not in reply.headers
    assert unsigned("GET", "/livez").status == 200
