"""Every buffered answer under /v2 is signed, framework errors included (docs/api.md).

An ASGI layer outside the framework, so that no answer can pass it by. A stream (text/event-stream) is exempt:
each of its events carries its own signature.
"""

import logging
import time
import uuid
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.conf import settings
from nacl.signing import SigningKey

from config.asgi_types import App, Message, Receive, Scope, Send, is_under, json_answer

logger = logging.getLogger("quorate.api")

PREFIX = "/v2"
_NO_BODY = (204, 304)


def sign_body(key: SigningKey, body: bytes, timestamp: str) -> str:
    """Hex of the Ed25519 signature of SHA-256(SHA-256(body "|" timestamp)); timestamp: Unix milliseconds."""
    digest = sha256(sha256(body + b"|" + timestamp.encode()).digest()).digest()
    return key.sign(digest).signature.hex()


def signing_key() -> SigningKey:
    """The site's response key, from its settings."""
    return _key(settings.QUORATE["RESPONSE_SIGNING_KEY"])


def public_key() -> str:
    """What clients verify answers with, hex."""
    return bytes(signing_key().verify_key).hex()


@lru_cache(maxsize=4)
def _key(seed: bytes) -> SigningKey:
    return SigningKey(seed)


class ResponseSigning:
    """Signs what the inner application answers under /v2; turns its crash into a signed 500."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_under(scope, PREFIX):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope["method"], send)
        try:
            await self._app(scope, receive, answer.take)
        except Exception as error:
            if answer.streaming:
                raise
            error_id = uuid.uuid4().hex
            # The path is the caller's text; ascii() keeps it from forging log lines.
            path = ascii(scope["path"])
            logger.exception("%s %s %s: %s", error_id, scope["method"], path, type(error).__name__)
            answer = _Answer(scope["method"], send)
            message = "internal error; the server's log has it under the error_id"
            for part in json_answer(500, 2000, message, error_id=error_id):
                await answer.take(part)


class _Answer:
    """Holds an answer back until its last part is known."""

    def __init__(self, method: str, send: Send) -> None:
        self._method = method
        self._send = send
        self._start: Message = {}
        self._body = bytearray()
        self.streaming = False

    async def take(self, message: Message) -> None:
        if self.streaming:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start = message
            headers = {name.lower(): value for name, value in message["headers"]}
            content_type = headers.get(b"content-type", b"")
            self.streaming = content_type.startswith(b"text/event-stream")
            if self.streaming:
                await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish()
        else:
            await self._send(message)

    async def _finish(self) -> None:
        status: int = self._start["status"]
        whole = bytes(self._body)
        # What is signed is what arrives: HTTP carries no body in these cases.
        body = b"" if self._method == "HEAD" or status in _NO_BODY else whole
        timestamp = str(time.time_ns() // 1_000_000)
        headers: list[Any] = [
            (name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"
        ]
        if status not in _NO_BODY:
            headers.append((b"content-length", str(len(whole)).encode()))
        headers.append((b"biz-timestamp", timestamp.encode()))
        headers.append((b"biz-resp-signature", sign_body(signing_key(), body, timestamp).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
