"""A reverse proxy between a node and the site: records all traffic and can hold chosen calls back.

It is the network of the tests: what it holds or drops, a hostile network or coordinator could hold or drop.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from wire.envelope import ROUND_MESSAGE, Envelope

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "server", "date"}
HOLD_LIMIT_S = 60.0


class Gate:
    """Holds every call that `matches(path, body)` until it is opened; then it goes on, or is lost.

    `hit` is set when the first one waits.
    """

    def __init__(self, matches: Callable[[str, bytes], bool], *, lose: bool) -> None:
        self.matches = matches
        self.lose = lose
        self.hit = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wait(self) -> None:
        self.hit.set()
        self._open.wait(HOLD_LIMIT_S)


def carries_round(round_number: int) -> Callable[[str, bytes], bool]:
    """Matches a sync call with a protocol message of this round."""

    def matches(path: str, body: bytes) -> bool:
        return any(
            envelope.type == ROUND_MESSAGE and envelope.round == round_number
            for envelope in sent_envelopes(path, body)
        )

    return matches


def carries_decision(path: str, body: bytes) -> bool:
    """Matches a sync call with a holder's decision."""
    return path == "/node/v1/sync" and bool(json.loads(body).get("decisions"))


def sent_envelopes(path: str, body: bytes) -> list[Envelope]:
    """The envelopes that a sync call of a node carries."""
    if path != "/node/v1/sync":
        return []
    return [Envelope.parse(base64.b64decode(item)) for item in json.loads(body).get("messages", [])]


class Proxy:
    """Listens on a free loopback port and forwards to `upstream` (scheme://host:port)."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.traffic: list[bytes] = []
        self.rewrite: Callable[[str, bytes], bytes] | None = None
        self._gates: list[Gate] = []
        self._pool = urllib3.PoolManager(
            maxsize=32, retries=False, timeout=urllib3.Timeout(connect=5, read=60)
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def holding(self, matches: Callable[[str, bytes], bool], *, lose: bool = False) -> Iterator[Gate]:
        """Hold the calls that match until the gate is opened, at the latest at the end of the block.

        lose: they never arrive.
        """
        gate = Gate(matches, lose=lose)
        self._gates.append(gate)
        try:
            yield gate
        finally:
            self._gates.remove(gate)
            gate.open()

    def close(self) -> None:
        for gate in self._gates:
            gate.open()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave as two writes; without this the second waits for a delayed ACK.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                proxy._forward(self, "POST")

            def do_GET(self) -> None:
                proxy._forward(self, "GET")

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        return Handler

    def _forward(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.traffic.append(str(handler.headers).encode() + body)
        for gate in list(self._gates):
            if gate.matches(handler.path, body):
                gate.wait()
                if gate.lose:
                    handler.close_connection = True
                    return
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            answer = self._pool.request(method, self.upstream + handler.path, body=body, headers=headers)
            status, data = answer.status, answer.data
            answer_headers = answer.headers
        except urllib3.exceptions.HTTPError:
            status, data, answer_headers = 502, b"{}", urllib3.HTTPHeaderDict()
        self.traffic.append(data)
        if self.rewrite is not None:
            data = self.rewrite(handler.path, data)
        try:
            handler.send_response(status)
            for name, value in answer_headers.items():
                if name.lower() not in HOP_BY_HOP:
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            # The node was killed while its call was held: that is what some tests do.
            handler.close_connection = True
