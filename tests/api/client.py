"""A client of the compatible API, in-process: signs as the vendor's SDK does and verifies every answer."""

import asyncio
import json
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from asgiref.sync import async_to_sync
from coincurve import PrivateKey
from nacl.signing import SigningKey, VerifyKey

from config.asgi import application
from config.response_signing import public_key
from tests.api.conformance import conforms


def double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Reply:
    """What came back; headers with lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, int, str]:
        """HTTP status, error_code and field ("" without one)."""
        return self.status, self.json["error_code"], self.json.get("field", "")


@dataclass(frozen=True)
class SignedCall:
    """A call ready to be sent, and sent again."""

    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]


class Client:
    """secret: 32 bytes, seed (ED25519) or private key (SECP256K1); address: where the calls come from."""

    def __init__(self, secret: str, *, curve: str = "ED25519", address: str = "127.0.0.1") -> None:
        self._secret = bytes.fromhex(secret)
        self._curve = curve
        self.address = address

    @property
    def public_key(self) -> str:
        if self._curve == "ED25519":
            return bytes(SigningKey(self._secret).verify_key).hex()
        return PrivateKey(self._secret).public_key.format().hex()

    def sign(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: Any = None,
        nonce: int | None = None,
        signed_body: bytes | None = None,
        idempotency_key: str | None = None,
    ) -> SignedCall:
        """path: as on the wire, no /v2; body: JSON value or bytes; signed_body: what is signed instead."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        stamp = str(now_ms() if nonce is None else nonce)
        covered = content if signed_body is None else signed_body
        text = b"|".join((method.encode(), f"/v2{path}".encode(), stamp.encode(), query.encode(), covered))
        digest = double_sha256(text)
        if self._curve == "ED25519":
            signature = SigningKey(self._secret).sign(digest).signature
        else:
            signature = PrivateKey(self._secret).sign(digest, hasher=None)
        headers = {
            "Biz-Api-Key": self.public_key,
            "Biz-Api-Nonce": stamp,
            "Biz-Api-Signature": signature.hex(),
            "Content-Type": "application/json",
        }
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return SignedCall(method, f"/v2{path}", query, content, headers)

    def send(self, call: SignedCall) -> Reply:
        return send(call, address=self.address)

    def get(self, path: str, query: str = "") -> Reply:
        return self.send(self.sign("GET", path, query=query))

    def post(self, path: str, body: Any = None) -> Reply:
        return self.send(self.sign("POST", path, body=body))

    def put(self, path: str, body: Any = None) -> Reply:
        return self.send(self.sign("PUT", path, body=body))


def send(call: SignedCall, *, address: str = "127.0.0.1", host: str = "127.0.0.1") -> Reply:
    """Send a call into the application and check the answer's signature."""
    reply: Reply = async_to_sync(_exchange)(call, address, host, False)
    if call.path == "/v2" or call.path.startswith("/v2/"):
        # Of a stream each event is signed by itself.
        if reply.headers.get("content-type") != "text/event-stream":
            verify(reply)
        conforms(call.method, call.path, reply.status, reply.headers, reply.body)
    return reply


def send_and_lose_the_answer(call: SignedCall) -> None:
    """Send a call over a connection that breaks before the first byte of the answer."""
    async_to_sync(_exchange)(call, "127.0.0.1", "127.0.0.1", True)


def verify(reply: Reply) -> None:
    """Raises BadSignatureError, KeyError when the answer is not signed."""
    digest = double_sha256(reply.body + b"|" + reply.headers["biz-timestamp"].encode())
    VerifyKey(bytes.fromhex(public_key())).verify(digest, bytes.fromhex(reply.headers["biz-resp-signature"]))


async def _exchange(call: SignedCall, address: str, host: str, broken: bool) -> Reply:
    headers = [(b"host", host.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in call.headers.items()]
    if call.body or call.method in ("POST", "PUT"):
        headers.append((b"content-length", str(len(call.body)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": unquote(call.path),
        "raw_path": call.path.encode(),
        "query_string": call.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": (address, 40000),
        "server": (host, 80),
    }
    sent = False
    parts: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return await _never()
        sent = True
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def take(message: Any) -> None:
        if broken:
            raise ConnectionResetError("the client is gone")
        parts.append(message)

    await application(scope, receive, take)
    start = parts[0]
    return Reply(
        status=start["status"],
        headers={name.decode().lower(): value.decode() for name, value in start["headers"]},
        body=b"".join(part.get("body", b"") for part in parts[1:]),
    )


async def _never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError
