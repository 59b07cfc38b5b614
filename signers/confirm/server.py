"""HTTP on loopback for the confirmation page: threads read and write, one thread works with the node."""

import queue
from collections.abc import Callable
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from signers.confirm.pages import MAX_BODY, Pages, Request, Response
from signers.node import Node

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_READ_S = 10


class Server(ThreadingHTTPServer):
    """Hands each request to the thread that calls `work`: the node's store belongs to it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._asked: queue.SimpleQueue[tuple[Request, Future[Response]]] = queue.SimpleQueue()

    @property
    def origins(self) -> tuple[str, ...]:
        """The page's own; the first is the one to print. Browsers share cookies between all ports of one
        name, and a demo site lives on localhost."""
        return tuple(f"http://{host}:{self.server_port}" for host in ("127.0.0.1", "localhost"))

    def ask(self, request: Request) -> Response:
        answer: Future[Response] = Future()
        self._asked.put((request, answer))
        return answer.result()

    def work(self, respond: Callable[[Request], Response]) -> None:
        """Answer one request."""
        request, answer = self._asked.get()
        try:
            answer.set_result(respond(request))
        except BaseException as error:
            answer.set_exception(error)
            raise


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _READ_S  # a browser's idle spare connection ends after this

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= MAX_BODY):
            self._send(Response(413, "too large"))
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        names = ("Host", "Origin", "Sec-Fetch-Site", "Cookie")
        headers = {name: self.headers.get(name, "") for name in names}
        self._send(self.server.ask(Request(self.command, self.path, headers, body)))

    def _send(self, response: Response) -> None:
        data = response.text.encode()
        self.send_response_only(response.status)
        headers = {"Content-Type": response.type, "Content-Length": str(len(data))}
        for name, value in {**HEADERS, **headers, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: paths would say which requests an operator looks at."""


def serve(node: Node, port: int, announce: Callable[[str, str], None]) -> None:
    """Serve the page until interrupted. port: 0 lets the system choose; announce: gets its address and the
    one-time code that opens it."""
    with Server(port) as server:
        pages = Pages(node, server.origins)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            announce(server.origins[0], pages.code)
            while True:
                server.work(pages.respond)
        finally:
            server.shutdown()
