"""Webhook receivers: real HTTP servers on loopback that do as they are told and keep what they got."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import connections

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Received:
    """A request as it came; headers as on the wire; port: the sender's."""

    path: str
    headers: dict[str, str]
    body: bytes
    port: int

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"


class Receiver:
    """`answer` decides what a request gets; `wait` waits for the n-th one, without polling."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.answer: Callable[[Received], Reply] = lambda request: Reply()
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Received(self.path, dict(self.headers.items()), body, self.client_address[1])
                try:
                    reply = receiver._take(request)
                finally:
                    connections.close_all()  # of this thread, for an answer that used the database
                # In one write, or the small packets wait for each other.
                head = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {len(reply.body)}"]
                head += [f"{name}: {value}" for name, value in reply.headers.items()]
                self.wfile.write("\r\n".join([*head, "", ""]).encode() + reply.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that goes away, as killed ones do

        self._server = Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    def wait(self, count: int) -> list[Received]:
        """The requests once there are `count`."""
        return self.wait_for(lambda: len(self.received) >= count, f"{count} requests")

    def wait_for(self, done: Callable[[], bool], what: str) -> list[Received]:
        with self._changed:
            came = self._changed.wait_for(done, _PATIENCE_S)
            assert came, f"waited for {what}, got {len(self.received)} requests"
            return list(self.received)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Received) -> Reply:
        with self._changed:
            self.received.append(request)
            self._changed.notify_all()
        return self.answer(request)


class Rude:
    """A server that speaks as `talk` says, over the bare socket, once for every connection."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def ending(self) -> threading.Event:
        """Set when the server is to end: a talk that goes on for ever looks at it."""
        return self._ending

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"

    def close(self) -> None:
        self._ending.set()
        # Wakes accept().
        with socket.create_connection(self._listener.getsockname()):
            self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            connection, _ = self._listener.accept()
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                self._talk(connection)
            except OSError:  # the client has had enough, as it should
                return


@contextmanager
def receiving(count: int = 1) -> Iterator[list[Receiver]]:
    """Receivers that end with the block."""
    receivers = [Receiver() for _ in range(count)]
    try:
        yield receivers
    finally:
        for receiver in receivers:
            receiver.close()
