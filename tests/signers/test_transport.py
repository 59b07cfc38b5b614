"""The HTTP client against real sockets: what it refuses to send, and what it refuses to read."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from signers.errors import NodeError
from signers.identity import Identity
from signers.transport import BackOff, HttpTransport, TransportError, check_url
from wire.node_request import NODE_HEADER, SIGNATURE_HEADER, TIME_HEADER, verify_request

EMPTY: dict[str, Any] = {
    "requests": [],
    "certificates": [],
    "passkeys": [],
    "closed": [],
    "starts": [],
    "messages": [],
    "aborts": [],
    "ended": [],
    "errors": [],
    "audit": None,
    "server_time": 1,
}
Handler = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def server(handle: Handler) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    seen: list[tuple[str, dict[str, str], bytes]] = []

    class Quiet(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, dict(self.headers), body))
            handle(self, body)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    site = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    site.daemon_threads = True
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}", seen
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


def reply(value: Any, status: int = 200) -> Handler:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()

    def handle(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return handle


@pytest.fixture
def identity() -> Identity:
    return Identity.generate()


def test_calls_are_signed_over_their_exact_body(identity: Identity) -> None:
    with server(reply(EMPTY)) as (url, seen):
        HttpTransport(url, identity.node_id, identity.sign).sync({"known": []}, 0)
    path, headers, body = seen[0]
    assert json.loads(body) == {"known": [], "wait_ms": 0}
    assert headers[NODE_HEADER] == identity.node_id
    assert verify_request(
        identity.signing_key,
        node_id=identity.node_id,
        method="POST",
        path=path,
        time=int(headers[TIME_HEADER]),
        body=body,
        signature=bytes.fromhex(headers[SIGNATURE_HEADER]),
        now=int(headers[TIME_HEADER]),
    )


def test_one_connection_serves_many_calls(identity: Identity) -> None:
    ports: set[int] = set()

    def handle(request: BaseHTTPRequestHandler, body: bytes) -> None:
        ports.add(request.client_address[1])
        reply(EMPTY)(request, body)

    with server(handle) as (url, _):
        transport = HttpTransport(url, identity.node_id, identity.sign)
        for _ in range(5):
            transport.sync({}, 0)
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (b"not json", 200, "bad_answer"),
        (b"{}", 200, "bad_answer"),
        ({**EMPTY, "requests": [{}]}, 200, "bad_answer"),
        ({**EMPTY, "closed": 7}, 200, "bad_answer"),
        ({**EMPTY, "starts": [{"session_id": "zz"}]}, 200, "bad_answer"),
        ({**EMPTY, "messages": [{"session_id": "ab" * 32, "round": -1, "envelopes": []}]}, 200, "bad_answer"),
        (b'{"requests":[],"requests":[]}', 200, "bad_answer"),
        (b"[" * 100_000, 200, "bad_answer"),
        (
            {"error_code": 2023, "error_message": "bad signature", "error_id": "x"},
            401,
            "refused_by_coordinator",
        ),
        (b"<html>", 502, "bad_answer"),
    ],
)
def test_answers_that_are_none(identity: Identity, answer: Any, status: int, code: str) -> None:
    with server(reply(answer, status)) as (url, _), pytest.raises(TransportError) as caught:
        HttpTransport(url, identity.node_id, identity.sign).sync({}, 0)
    assert caught.value.code == code


def test_n06_a_hundred_megabytes_are_not_read(identity: Identity) -> None:
    sent: list[int] = []

    def flood(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(100 << 20))
        request.end_headers()
        chunk = b" " * (1 << 20)
        try:
            for _ in range(100):
                request.wfile.write(chunk)
                sent.append(len(chunk))
        except OSError:
            request.close_connection = True

    before = psutil.Process().memory_info().rss
    with server(flood) as (url, _):
        transport = HttpTransport(url, identity.node_id, identity.sign)
        with pytest.raises(TransportError) as caught:
            transport.sync({}, 0)
    assert caught.value.code == "answer_too_large"
    assert sum(sent) < 60 << 20
    assert psutil.Process().memory_info().rss - before < 80 << 20


def test_a_coordinator_that_is_away(identity: Identity) -> None:
    with server(reply(EMPTY)) as (url, _):
        pass
    with pytest.raises(TransportError) as caught:
        HttpTransport(url, identity.node_id, identity.sign).sync({}, 0)
    assert caught.value.code == "unreachable"


def test_a_redirect_is_not_followed(identity: Identity) -> None:
    with server(reply(EMPTY)) as (other, seen):

        def redirect(request: BaseHTTPRequestHandler, body: bytes) -> None:
            request.send_response(307)
            request.send_header("Location", f"{other}/node/v1/sync")
            request.send_header("Content-Length", "2")
            request.end_headers()
            request.wfile.write(b"{}")

        with server(redirect) as (url, _), pytest.raises(TransportError):
            HttpTransport(url, identity.node_id, identity.sign).sync({}, 0)
        assert seen == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://quorate.example.com", "tls_required"),
        ("http://192.168.1.5:8000", "tls_required"),
        ("http://127.0.0.1.example.com", "tls_required"),
        ("ftp://127.0.0.1", "bad_url"),
        ("quorate.example.com", "bad_url"),
        ("https://", "bad_url"),
        ("https://user@quorate.example.com", "bad_url"),
        ("https://quorate.example.com/?x=1", "bad_url"),
    ],
)
def test_http_without_tls_goes_to_loopback_only(url: str, code: str) -> None:
    with pytest.raises(NodeError) as caught:
        check_url(url)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:1/", "http://[::1]:1", "https://q.example.com"]
)
def test_addresses_that_are_fine(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


def test_a_certificate_that_nobody_vouches_for_is_refused(identity: Identity) -> None:
    """Plain HTTP where TLS is expected: the handshake fails, nothing is sent."""
    with server(reply(EMPTY)) as (url, seen):
        transport = HttpTransport(url.replace("http://", "https://"), identity.node_id, identity.sign)
        with pytest.raises(TransportError) as caught:
            transport.sync({}, 0)
    assert caught.value.code == "unreachable"
    assert seen == []


def test_pauses_start_small_grow_and_are_bounded() -> None:
    back_off = BackOff()
    pauses = [back_off.next_pause() for _ in range(40)]
    assert pauses[0] < 0.1
    assert pauses[5] > pauses[0]
    assert max(pauses) <= 30
    assert len({round(pause, 3) for pause in pauses[-10:]}) > 1, "no jitter"
    back_off.succeeded()
    assert back_off.next_pause() < 0.1
