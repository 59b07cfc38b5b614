"""The few ASGI shapes that the layers around the framework share."""

import json
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def is_under(scope: Scope, prefix: str) -> bool:
    """Whether the decoded path, which is what the framework routes by, is `prefix` or below it."""
    path: str = scope["path"]
    return path == prefix or path.startswith(f"{prefix}/")


def json_answer(
    status: int, code: int, message: str, *, error_id: str | None = None, close: bool = False
) -> tuple[Message, Message]:
    """An error body (docs/api.md) as ASGI messages; close: hang up afterwards, the request was not read."""
    body = json.dumps(
        {"error_code": code, "error_message": message, "error_id": error_id or uuid.uuid4().hex}
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )
