"""No request body is kept beyond its cap, whatever its Content-Length says or leaves out."""

import asyncio
import logging
import uuid

from django.conf import settings

from config.asgi_types import App, Message, Receive, Scope, Send, is_under, json_answer
from config.response_signing import PREFIX

logger = logging.getLogger("quorate.api")

_INVALID = 2006
# A client that is hung up on while it sends loses the answer (RFC 9112, 9.6): what it sends on is thrown away
# for a while, within these bounds.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_S = 5.0
_IDLE_S = 0.5


class BodyCap:
    """Reads the body itself, up to the cap, and hands it on as one piece with its true length."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cap = settings.MAX_API_BODY_BYTES if is_under(scope, PREFIX) else settings.MAX_BODY_BYTES
        body = await _read(scope, receive, cap)
        if body is None:
            await _drain(scope, receive)
            await _refuse(scope, send, cap)
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()  # only a disconnect can follow
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._app({**scope, "headers": headers}, replay, send)


async def _read(scope: Scope, receive: Receive, cap: int) -> bytes | None:
    declared = [value for name, value in scope["headers"] if name == b"content-length"]
    if any(not value.isdigit() or len(value) > 15 or int(value) > cap for value in declared):
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)  # the client has gone; the framework finds out by itself
        body += message.get("body", b"")
        if len(body) > cap:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _drain(scope: Scope, receive: Receive) -> None:
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # the client waits for leave to send, and gets the answer instead
    clock = asyncio.get_running_loop().time
    end, left = clock() + _DRAIN_S, _DRAIN_BYTES
    while left > 0 and clock() < end:
        try:
            message = await asyncio.wait_for(receive(), _IDLE_S)
        except TimeoutError:
            return
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


async def _refuse(scope: Scope, send: Send, cap: int) -> None:
    error_id = uuid.uuid4().hex
    logger.info("%s %s %s: body above %d bytes", error_id, scope["method"], ascii(scope["path"]), cap)
    message = f"the body is larger than {cap} bytes"
    for part in json_answer(400, _INVALID, message, error_id=error_id, close=True):
        await send(part)
