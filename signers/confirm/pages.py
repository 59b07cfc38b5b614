"""What the confirmation page shows and does. Nothing changes by a GET, and nothing without a session.

The session begins with a one-time code that the terminal shows; each form carries a token of the session. The
names that a browser may call this page by are fixed, so that no other site's name leads here (DNS rebinding),
and a form counts only when the browser says that it came from here.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from signers import standing
from signers.errors import NodeError, plain
from signers.node import Node
from signers.requests import RequestRecord
from signers.transport import TransportError

MAX_BODY = 4096
_COOKIE = "quorate_confirm"
_STYLE = """
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #777; padding: 1rem; }
button, input { font: inherit; padding: .5rem 1rem; margin: .25rem; min-width: 10rem; }
strong { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid #0050b3; }
"""


@dataclass(frozen=True)
class Request:
    """headers: Host, Origin, Sec-Fetch-Site and Cookie, "" where one is missing."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = "text/html; charset=utf-8"


class Pages:
    """The page of one node; code: opens it once, for one browser."""

    def __init__(self, node: Node, origins: tuple[str, ...]) -> None:
        self._node = node
        self._origins = origins
        self._session = secrets.token_urlsafe(32)
        self.code = secrets.token_urlsafe(16)
        self._opened = False

    def respond(self, request: Request) -> Response:
        host = f"http://{request.headers['Host']}"
        if host not in self._origins:
            return _page(421, "Not here", "This page answers to its own name only.")
        if request.headers["Sec-Fetch-Site"] not in ("", "none", "same-origin"):
            return _page(403, "Not from there", "Open this page by typing its address.")
        if request.method == "POST" and request.headers["Origin"] != host:
            return _page(403, "Not from there", "This form is not one of this page.")
        if request.path == "/style.css":
            return Response(200, _STYLE, type="text/css; charset=utf-8")
        form = _form(request.body)
        if request.method == "POST" and request.path == "/open":
            return self._open(form.get("code", ""))
        if not self._knows(request.headers["Cookie"]):
            return _page(403, "Closed", _OPEN_FORM)
        if request.method == "POST" and not hmac.compare_digest(form.get("token", "").encode(), self._token):
            return _page(403, "Too old", "Load the page again.")
        try:
            return self._inside(request, form)
        except NodeError as error:  # its disk is full, or its clock is behind
            return _page(500, "Not now", f"<p>{_safe(error.code)}: {_safe(error.message)}</p>")

    # the session

    def _open(self, code: str) -> Response:
        if self._opened or not hmac.compare_digest(code.strip().encode(), self.code.encode()):
            return _page(
                403, "Closed", _OPEN_FORM + "<p>That code is wrong or used: start the page anew.</p>"
            )
        self._opened = True
        cookie = f"{_COOKIE}={self._session}; HttpOnly; SameSite=Strict; Path=/"
        return _to("/", {"Set-Cookie": cookie})

    def _knows(self, header: str) -> bool:
        try:
            cookie = SimpleCookie(header).get(_COOKIE)
        except CookieError:
            return False
        known = cookie is not None and hmac.compare_digest(cookie.value.encode(), self._session.encode())
        return self._opened and known

    @property
    def _token(self) -> bytes:
        return sha256(b"form " + self._session.encode()).hexdigest().encode()

    # requests

    def _inside(self, request: Request, form: Mapping[str, str]) -> Response:
        if request.path == "/" and request.method == "GET":
            return self._list()
        digest, _, act = request.path.removeprefix("/request/").partition("/")
        record = self._node.store.requests.get(digest)
        if record is None:
            return _page(404, "Unknown", "<p>This node knows no such request.</p>")
        if request.method == "GET" and not act:
            return self._show(record)
        if request.method == "POST" and act in ("approve", "reject"):
            return self._decide(record, act, form.get("reason", ""))
        return _page(405, "Not so", "<p>There is no such act.</p>")

    def _list(self) -> Response:
        store = self._node.store
        records = store.requests.all(open_only=True)
        rows = [
            f'<li><a href="/request/{each.digest}">{_safe(each.request_id or each.digest[:16])}</a>'
            f" {_safe(standing.status(store, each))}</li>"
            for each in sorted(records, key=lambda each: not standing.waits(store, each))
        ]
        return _page(
            200, "Requests", f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing waits for you.</p>"
        )

    def _show(self, record: RequestRecord, said: str = "", status: int = 200) -> Response:
        store = self._node.store
        grouped = " ".join(record.digest[at : at + 4] for at in range(0, 64, 4))
        parts = [
            f'<p role="status">{_safe(said or standing.status(store, record))}</p>',
            f"<pre>{escape(standing.in_words(store, record))}</pre>",
            f"<p>Digest: <strong>{grouped}</strong></p>",
        ]
        if standing.waits(store, record):
            parts += [self._form(record, "reject", '<input name="reason" aria-label="Reason" required>')]
            parts += [self._form(record, "approve", "")]
        return _page(status, "Request", "".join([*parts, '<p><a href="/">All requests</a></p>']))

    def _form(self, record: RequestRecord, act: str, fields: str) -> str:
        return (
            f'<form method="post" action="/request/{record.digest}/{act}">'
            f'<input type="hidden" name="token" value="{self._token.decode()}">'
            f"{fields}<button>{act.capitalize()} … {record.digest[-8:]}</button></form>"
        )

    def _decide(self, record: RequestRecord, act: str, reason: str) -> Response:
        try:
            if act == "approve":
                self._node.approve(record)
            else:
                self._node.reject(record, reason)
        except NodeError as error:
            return self._show(record, f"{error.code}: {error.message}", 409)
        try:
            self._node.deliver()
        except TransportError as error:
            said = f"Stored; not delivered yet ({error.message}): the running node will try again."
            return self._show(record, said)
        return _to(f"/request/{record.digest}", {})


_OPEN_FORM = """<p>The terminal in which you started this page shows a code that opens it once.</p>
<form method="post" action="/open"><input name="code" aria-label="Code" autocomplete="off" required>
<button>Open</button></form>"""


def _form(body: bytes) -> dict[str, str]:
    """The first value of each field; a body that is no form has none."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _safe(text: str) -> str:
    return escape(plain(text))


def _to(path: str, headers: Mapping[str, str]) -> Response:
    return Response(303, "", {"Location": path, **headers})


def _page(status: int, title: str, content: str) -> Response:
    return Response(
        status,
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/style.css"></head>'
        f"<body><main><h1>{title}</h1>{content}</main></body></html>",
    )
