"""Calls of the node API over ASGI, signed as a node signs them."""

import asyncio
import json
import time
from base64 import b64encode
from typing import Any

from django.test import AsyncClient

from tests.tss.nodes import Signer
from wire.canonical import canonical_bytes
from wire.node_request import sign_request

SYNC, ENROL = "/node/v1/sync", "/node/v1/enrol"


async def call(signer: Signer, url: str, content: bytes, **signed: Any) -> tuple[int, dict[str, Any]]:
    """POST as the signer; `signed` replaces what the signature is made over."""
    fields: dict[str, Any] = {
        "node_id": signer.node_id,
        "method": "POST",
        "path": url,
        "time": time.time_ns() // 1_000_000,
        "body": content,
    } | signed
    headers = sign_request(signer.sign, **fields)
    response = await AsyncClient().post(url, data=content, content_type="application/json", headers=headers)
    return response.status_code, json.loads(response.content)


def body(**changes: Any) -> bytes:
    names = ("decisions", "refusals", "messages", "certificates", "statements", "evidence", "cards", "known")
    lists: dict[str, Any] = {name: [] for name in names}
    return canonical_bytes(
        {
            "software": "0.1.0",
            "wait_ms": 0,
            "sessions": {},
            "epochs": {},
            "passkeys": {},
            "audit": {"seen": 0, "words": []},
            **lists,
        }
        | changes
    )


def sync(signer: Signer, **changes: Any) -> dict[str, Any]:
    """One sync call that must succeed."""
    status, answer = asyncio.run(call(signer, SYNC, body(**changes)))
    assert status == 200, answer
    return answer


def lists(answer: dict[str, Any]) -> dict[str, Any]:
    """What is not empty."""
    return {name: value for name, value in answer.items() if value and name != "server_time"}


def base64(data: bytes) -> str:
    return b64encode(data).decode()
