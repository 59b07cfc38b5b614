"""Outbound HTTP to the coordinator: signed calls, keep-alive, TLS except to loopback. Bodies are never
logged."""

import secrets
import time
from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import urllib3

from signers import __version__
from signers.answers import Answer, Enrolment
from signers.errors import NodeError
from signers.policy import is_loopback
from wire.canonical import CanonicalError, Json, canonical_bytes, parse_json
from wire.fields import WireError
from wire.identity import HolderCard
from wire.node_request import sign_request

T = TypeVar("T")

ENROL_PATH, SYNC_PATH = "/node/v1/enrol", "/node/v1/sync"
# Rounds of the largest group fit many times over; a longer answer is dropped unread (N06).
MAX_ANSWER_BYTES = 16 << 20
_CONNECT_S, _READ_MARGIN_S = 5.0, 20.0
_CHUNK = 1 << 16


class TransportError(NodeError):
    """The call did not get a usable answer; try again later. `status` is the HTTP status or 0."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(code, message)
        self.status = status


class Transport(Protocol):
    """How a node reaches its coordinator."""

    def sync(self, body: dict[str, Json], wait_ms: int) -> Answer:
        """One exchange; waits up to `wait_ms` for news. Raises TransportError."""


class HttpTransport:
    """The node API over HTTPS, or over HTTP to this machine only."""

    def __init__(self, url: str, node_id: str, sign: Callable[[bytes], bytes]) -> None:
        parts = urlsplit(check_url(url))
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._node_id = node_id
        self._sign = sign
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, cert_reqs="CERT_REQUIRED")

    def sync(self, body: dict[str, Json], wait_ms: int) -> Answer:
        return _read_fields(self._call(SYNC_PATH, {**body, "wait_ms": wait_ms}, wait_ms / 1000), Answer.parse)

    def enrol(self, code: str, card: HolderCard) -> Enrolment:
        """Give the coordinator this node's card, against a one-time code. Raises TransportError."""
        body = {"code": code, "holder_card": card.to_json(), "software": __version__}
        return _read_fields(self._call(ENROL_PATH, body, 0), Enrolment.parse)

    def _call(self, path: str, body: dict[str, Json], wait_s: float) -> Json:
        content = canonical_bytes(body)
        full_path = self._prefix + path
        headers = sign_request(
            self._sign,
            node_id=self._node_id,
            method="POST",
            path=full_path,
            time=time.time_ns() // 1_000_000,
            body=content,
        )
        try:
            response = self._pool.request(
                "POST",
                self._origin + full_path,
                body=content,
                headers={**headers, "Content-Type": "application/json"},
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=wait_s + _READ_MARGIN_S),
                preload_content=False,
                # Nothing compressed is asked for, and a small answer must not unpack to a huge one (N06).
                decode_content=False,
                redirect=False,
            )
            data = _read(response)
        except urllib3.exceptions.HTTPError as error:
            raise TransportError(
                "unreachable", f"the coordinator does not answer: {type(error).__name__}"
            ) from None
        return _parse(response.status, data)


class BackOff:
    """Pauses between failed calls: the first retry at once, then doubling with jitter up to 30 s."""

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        self._failures = 0

    def next_pause(self) -> float:
        """Seconds to wait after another failure."""
        self._failures += 1
        if self._failures == 1:
            # A keep-alive connection that the other side closed fails once and means nothing.
            return 0.05
        longest = min(30.0, 0.25 * 2.0 ** min(self._failures, 10))
        # Jitter, so that nodes do not come back all at once.
        return longest * (0.5 + secrets.randbelow(1000) / 2000)


def check_url(url: str) -> str:
    """The coordinator's address, usable. Raises NodeError bad_url or tls_required."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise NodeError("bad_url", "this is no address") from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise NodeError("bad_url", "the coordinator's address is like https://quorate.example.com")
    if parts.scheme == "http" and not is_loopback(url):
        raise NodeError("tls_required", "HTTP without TLS goes to this machine only: use https://")
    return url.rstrip("/")


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    data = bytearray()
    while chunk := response.read(_CHUNK):
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            response.close()
            raise TransportError("answer_too_large", f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    response.release_conn()
    return bytes(data)


def _parse(status: int, data: bytes) -> Json:
    try:
        value = parse_json(data, max_bytes=MAX_ANSWER_BYTES)
    except CanonicalError as error:
        raise TransportError("bad_answer", f"status {status}, and no JSON: {error}", status) from None
    if status == 200:
        return value
    message = value.get("error_message") if isinstance(value, dict) else None
    code = value.get("error_code") if isinstance(value, dict) else None
    raise TransportError("refused_by_coordinator", f"status {status}, {code}: {str(message)[:300]}", status)


def _read_fields(value: Json, read: Callable[[Json], T]) -> T:
    try:
        return read(value)
    except WireError as error:
        raise TransportError("bad_answer", str(error)) from None
