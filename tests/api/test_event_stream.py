"""GET /v2/events/stream: own events only, each signed, resumed without loss, bounded, and ended in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.db import connection
from nacl.signing import VerifyKey

from config import event_stream
from config.asgi import application
from config.response_signing import public_key
from tests.api.client import Client, SignedCall, double_sha256
from tests.api.conftest import ACTOR, Tenant
from vaults import services
from webhooks.models import OutboxEvent
from webhooks.outbox import emit
from webhooks.representation import payload

pytestmark = pytest.mark.embedded

PATH = "/events/stream"
PATIENCE = 20.0
TYPE = "quorate.node.online"


class Stream:
    """An open stream, read in-process."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._text = ""

    async def put(self, message: Any) -> None:
        await self._parts.put(message)

    async def begin(self) -> None:
        async with asyncio.timeout(PATIENCE):
            start = await self._parts.get()
        self.status = start["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}

    async def block(self) -> str:
        """The next block of lines, "" at the end."""
        async with asyncio.timeout(PATIENCE):
            while "\n\n" not in self._text and not self.ended:
                part = await self._parts.get()
                self._text += part.get("body", b"").decode()
                self.ended = not part.get("more_body", False)
        block, _, self._text = self._text.partition("\n\n")
        return block

    async def event(self) -> dict[str, Any]:
        """The next event, its signature checked."""
        while True:
            block = await self.block()
            assert block, "the stream has ended"
            if block.startswith("id: "):
                break
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        sealed = json.loads(fields["data"])
        digest = double_sha256(f"{sealed['body']}|{sealed['timestamp']}".encode())
        VerifyKey(bytes.fromhex(public_key())).verify(digest, bytes.fromhex(sealed["signature"]))
        content: dict[str, Any] = json.loads(sealed["body"])
        assert (fields["id"], fields["event"]) == (str(content["sequence"]), content["type"])
        return content


@asynccontextmanager
async def opened(
    client: Client, query: str = "", *, headers: dict[str, str] | None = None
) -> AsyncIterator[Stream]:
    call = client.sign("GET", PATH, query=query)
    stream, gone = Stream(), asyncio.Event()
    task = asyncio.create_task(application(scope(call, headers or {}), receiver(gone), stream.put))
    try:
        await stream.begin()
        yield stream
    finally:
        gone.set()
        async with asyncio.timeout(PATIENCE):
            await task


def scope(call: SignedCall, headers: dict[str, str]) -> dict[str, Any]:
    sent = {"Host": "127.0.0.1", **call.headers, **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": call.path,
        "raw_path": call.path.encode(),
        "query_string": call.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
    }


def receiver(gone: asyncio.Event) -> Callable[[], Awaitable[dict[str, Any]]]:
    first = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in first:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def in_thread(act: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return act()
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False)()


def test_a01_own_events_arrive_signed(tenant: Tenant, other: Tenant) -> None:
    async def run() -> list[dict[str, Any]]:
        async with opened(tenant.client) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream"
            assert "biz-resp-signature" not in stream.headers
            assert await stream.block() == "retry: 5000"
            await in_thread(other.vault)
            await in_thread(tenant.vault)
            await in_thread(tenant.project)
            await in_thread(tenant.vault)
            return [await stream.event(), await stream.event()]

    first, second = asyncio.run(run())
    assert first["type"] == second["type"] == "mpc_vaults.created"
    stored = OutboxEvent.objects.get(pk=first["sequence"])
    # What a webhook would say of it, and the number before it.
    assert {**first, "url": ""} == {**payload(stored, ""), "previous": first["previous"]}
    assert str(stored.organisation_id) == str(tenant.organisation.id)
    assert second["previous"] == first["sequence"]


@pytest.mark.parametrize("how", ["header", "query"])
def test_resume_from_the_last_event(tenant: Tenant, other: Tenant, how: str) -> None:
    """Everything after it in order, also what came while nobody listened; nothing twice."""
    organisation = str(tenant.organisation.id)
    rows = [emit(organisation_id=organisation, type=TYPE, data={"n": n}) for n in range(250)]
    emit(organisation_id=str(other.organisation.id), type=TYPE, data={"n": "theirs"})
    last = str(rows[9].sequence)

    async def run() -> list[dict[str, Any]]:
        query, headers = (f"last_event_id={last}", {}) if how == "query" else ("", {"Last-Event-ID": last})
        async with opened(tenant.client, query, headers=headers) as stream:
            missed = [await stream.event() for _ in range(240)]
            await in_thread(lambda: emit(organisation_id=organisation, type=TYPE, data={"n": 250}))
            return [*missed, await stream.event()]

    events = asyncio.run(run())
    assert [event["data"]["n"] for event in events] == list(range(10, 251))
    # A chain: who drops an event on the way is found out.
    assert [event["previous"] for event in events[1:]] == [event["sequence"] for event in events[:-1]]
    assert events[0]["previous"] == int(last)


def test_types(tenant: Tenant) -> None:
    organisation = str(tenant.organisation.id)

    async def run() -> list[str]:
        async with opened(tenant.client, "types=quorate.group.*,quorate.node.online") as stream:
            for type in ("quorate.node.offline", "quorate.group.created", TYPE):
                await in_thread(partial(emit, organisation_id=organisation, type=type, data={}))
            return [(await stream.event())["type"] for _ in range(2)]

    assert asyncio.run(run()) == ["quorate.group.created", TYPE]


BAD: list[tuple[str, dict[str, str], str]] = [
    ("types=a,,b", {}, "types"),
    ("types=*", {}, "types"),
    (f"types={','.join(['a'] * 21)}", {}, "types"),
    ("last_event_id=-1", {}, "Last-Event-ID"),
    ("last_event_id=9223372036854775808", {}, "Last-Event-ID"),
    ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
    # Nobody waits for events that a restored database has forgotten.
    ("", {"Last-Event-ID": "9223372036854775807"}, "Last-Event-ID"),
]


def test_a14_bad_input(tenant: Tenant) -> None:
    for query, headers, field in BAD:
        call = tenant.client.sign("GET", PATH, query=query)
        call.headers.update(headers)
        assert tenant.client.send(call).error == (400, 2006, field), (query, headers)


def test_only_who_may_read_events(tenant: Tenant) -> None:
    key = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="x", scopes=["mpc_vault.read"]
    )
    assert Client(key.secret).get(PATH).error == (403, 2025, "")
    call = tenant.client.sign("GET", PATH)
    forged = {**call.headers, "Biz-Api-Signature": "00" * 64}
    assert tenant.client.send(SignedCall("GET", call.path, "", b"", forged)).error == (401, 2023, "")
    assert tenant.client.post(PATH).error == (405, 2002, "")


def test_a_key_has_so_many_streams_and_gets_them_back(tenant: Tenant, settings: LazySettings) -> None:
    settings.QUORATE = settings.QUORATE | {"STREAMS_PER_KEY": 2}

    async def run() -> None:
        async with opened(tenant.client), opened(tenant.client), opened(tenant.client) as third:
            assert third.status == 429
            assert third.headers["retry-after"] == "5"
            assert "biz-resp-signature" in third.headers
        async with opened(tenant.client) as again:
            assert again.status == 200

    asyncio.run(run())
    assert event_stream._Slot._taken.total() == 0


def test_a_process_has_so_many_streams(tenant: Tenant, other: Tenant, settings: LazySettings) -> None:
    settings.QUORATE = settings.QUORATE | {"STREAMS": 1}

    async def run() -> tuple[int, int]:
        async with opened(tenant.client) as first, opened(other.client) as second:
            return first.status, second.status

    assert asyncio.run(run()) == (200, 429)


def test_a_revoked_key_reads_no_further(tenant: Tenant, settings: LazySettings) -> None:
    settings.QUORATE = settings.QUORATE | {"STREAM_HEARTBEAT_S": 0}

    async def run() -> list[str]:
        async with opened(tenant.client) as stream:
            beats = [await stream.block() for _ in range(2)]
            await in_thread(lambda: services.revoke_api_key(actor=ACTOR, api_key=tenant.api_key))
            while await stream.block():
                pass
            return beats

    assert asyncio.run(run()) == ["retry: 5000", ": heartbeat"]


def test_a_stream_ends_in_time(tenant: Tenant, settings: LazySettings) -> None:
    settings.QUORATE = settings.QUORATE | {"STREAM_S": 0}

    async def run() -> list[str]:
        async with opened(tenant.client) as stream:
            return [await stream.block(), await stream.block()]

    assert asyncio.run(run()) == ["retry: 5000", ""]
