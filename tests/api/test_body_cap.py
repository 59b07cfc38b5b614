"""A06 at the socket: a body above the cap is answered without being read."""

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from config.asgi import application
from tests.api.client import Reply, verify


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = uvicorn.Server(
        uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning", lifespan="on")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def exchange(port: int, head: str, *chunks: bytes) -> Reply:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        for chunk in chunks:
            connection.sendall(chunk)
        data = b""
        while part := connection.recv(65536):  # to the end: the server hangs up
            data += part
    top, _, body = data.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return Reply(int(lines[0].split()[1]), headers, body)


HEAD = "POST /v2/wallets/mpc/vaults HTTP/1.1\nHost: 127.0.0.1\n"
FIFTY_MEGABYTES = 50 * 1024 * 1024


@pytest.mark.parametrize("more", ["", "Expect: 100-continue\n"])
def test_a06_fifty_megabytes_are_refused_by_their_announcement(port: int, more: str) -> None:
    """A06: not one byte of the body is sent, the answer comes all the same."""
    started = time.monotonic()
    reply = exchange(port, f"{HEAD}Content-Length: {FIFTY_MEGABYTES}\n{more}")
    assert reply.error == (400, 2006, "")
    assert time.monotonic() - started < 2
    verify(reply)


def test_a06_fifty_megabytes_are_thrown_away(port: int) -> None:
    """A06: a client that sends them all gets its answer, and the process does not grow by them."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    piece = b"a" * 65536
    reply = exchange(
        port, f"{HEAD}Content-Length: {FIFTY_MEGABYTES}\n", *[piece] * (FIFTY_MEGABYTES // 65536)
    )
    assert reply.error == (400, 2006, "")
    verify(reply)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 * 1024  # KiB


def test_a06_chunks_are_counted(port: int) -> None:
    """A06: without a length, what was sent is counted."""
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    reply = exchange(port, f"{HEAD}Transfer-Encoding: chunked\n", *[chunk] * 6, b"0\r\n\r\n")
    assert reply.error == (400, 2006, "")
    verify(reply)


@pytest.mark.parametrize("length", ["-1", "+5", "0x10", "9" * 30])
def test_a06_senseless_lengths(port: int, length: str) -> None:
    reply = exchange(port, f"{HEAD}Content-Length: {length}\nConnection: close\n")
    assert reply.status == 400


def test_other_paths_have_a_cap_too(port: int) -> None:
    reply = exchange(port, "POST /node/v1/sync HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 52428800\n")
    assert reply.error == (400, 2006, "")
    assert "biz-resp-signature" not in reply.headers


def test_head_over_the_wire(port: int) -> None:
    reply = exchange(port, "HEAD /v2/nothing HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n")
    assert (reply.status, reply.body) == (404, b"")
    verify(reply)


def test_static_files_and_admin(port: int) -> None:
    css = exchange(port, "GET /static/admin/css/base.css HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n")
    assert (css.status, css.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    assert int(css.headers["content-length"]) == len(css.body) > 1000


def test_the_key_is_where_clients_look(port: int) -> None:
    head = "GET /.well-known/quorate-response-key HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n"
    assert len(json.loads(exchange(port, head).body)["public_key"]) == 64
