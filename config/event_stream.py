"""GET /v2/events/stream: what happens in an organisation, as server-sent events, while it happens.

Each event is signed like an answer (docs/api.md). A stream that waits holds no thread and no connection to
the database.
"""

import asyncio
import json
import re
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from typing import ClassVar

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from config.response_signing import sign_body, signing_key
from tss import wakeups
from tss.threads import in_thread
from vaults.api import denials, rate_limit
from vaults.api.async_view import AsyncView
from vaults.api.authentication import authenticate, check_usable
from vaults.api.operations import Operation, Parameter
from vaults.errors import ErrorCode, ServiceError, TooMany, invalid
from vaults.models import ApiKey
from vaults.scopes import allowed
from webhooks import feed
from webhooks.models import OutboxEvent
from webhooks.representation import facts

LAST_EVENT_HEADER = "Last-Event-ID"
_SCOPE = "webhook.read"
_BATCH = 100
_MAX_TYPES = 20
_MAX_SEQUENCE = 2**63 - 1
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")
# A ring that was lost delays an event by this at most; one that waits for another's transaction, which does
# not ring when it is rolled back, by the shorter one.
_RECHECK_S = 2.0
_RECHECK_SOON_S = 0.1
_RETRY_S = 5


class EventStream(AsyncView):
    """Events of the caller's organisation from now on, or from the one that it had last."""

    scopes: ClassVar = {"GET": _SCOPE}
    operations: ClassVar = {
        "GET": Operation(
            "Events as they happen, server-sent",
            tag="Events",
            query=(
                Parameter(
                    "types",
                    {"type": "string", "pattern": f"^{_TYPE.pattern}(,{_TYPE.pattern})*$", "maxLength": 1000},
                    f"At most {_MAX_TYPES} types of events, separated by commas; a name may end in `.*`",
                ),
                Parameter(
                    "last_event_id",
                    {"type": "integer", "minimum": 0, "maximum": _MAX_SEQUENCE},
                    f"As the header `{LAST_EVENT_HEADER}`, but signed; it goes before the header",
                ),
            ),
            stream=True,
        )
    }

    async def get(self, request: ASGIRequest, **ids: str) -> HttpResponseBase:
        reader = await in_thread(lambda: Reader(request))
        slot = _Slot(str(reader.api_key.id))
        response = StreamingHttpResponse(_stream(reader, slot), content_type="text/event-stream")
        # Also where nobody ever iterates, because the client has gone already.
        weakref.finalize(response, slot.release)
        response["Cache-Control"] = "no-store"
        # For proxies that would hold events back (nginx).
        response["X-Accel-Buffering"] = "no"
        return response


class Reader:
    """One client's place in the outbox. All of it runs in a worker thread."""

    def __init__(self, request: ASGIRequest) -> None:
        """Raises ServiceError as `authenticate`, 2025, 2026, and 2006 naming the parameter."""
        self._request = request
        self.api_key = authenticate(request).api_key
        rate_limit.take(self.api_key)
        try:
            self._check_scope(self.api_key)
        except ServiceError as error:
            denials.record(self.api_key, request, error)
            raise
        self.organisation_id = str(self.api_key.organisation_id)
        self._types = _types(request.GET.get("types", ""))
        self._horizon = feed.Horizon()
        settled = self._horizon.advance()
        last = _last_event_id(request)
        self._position = self._sent = settled if last is None else last

    def read(self) -> list[str]:
        """The next events, as they go out."""
        until = self._horizon.advance()
        if self._position >= until:
            return []
        batch = feed.read(
            organisation_id=self.organisation_id,
            after=self._position,
            until=until,
            types=self._types,
            limit=_BATCH,
        )
        self._position = batch.reached
        return [self._shown(event) for event in batch.events]

    @property
    def behind(self) -> bool:
        """Whether there is more to read at once."""
        return self._position < self._horizon.settled

    @property
    def recheck_s(self) -> float:
        return _RECHECK_SOON_S if self._horizon.waiting else _RECHECK_S

    def still_allowed(self) -> bool:
        """Whether the key may still read: it may have been revoked, or its member's role changed."""
        api_key = ApiKey.objects.select_related("member").get(pk=self.api_key.pk)
        try:
            check_usable(api_key, self._request)
            self._check_scope(api_key)
        except ServiceError:
            return False
        return True

    def _shown(self, event: OutboxEvent) -> str:
        shown = signed(event, previous=self._sent)
        self._sent = event.sequence
        return shown

    @staticmethod
    def _check_scope(api_key: ApiKey) -> None:
        if not allowed(api_key, _SCOPE):
            message = f"the API key does not have the scope {_SCOPE}, or its member's role does not allow it"
            raise ServiceError(ErrorCode.FORBIDDEN, message)


class _Slot:
    """One of the streams that a key, and this process, may have open. Raises TooMany where none is left."""

    _taken: ClassVar[Counter[str]] = Counter()

    def __init__(self, name: str) -> None:
        per_key, all_keys = settings.QUORATE["STREAMS_PER_KEY"], settings.QUORATE["STREAMS"]
        if self._taken[name] >= per_key:
            raise TooMany(f"the API key has {per_key} event streams open here already", _RETRY_S)
        if self._taken.total() >= all_keys:
            raise TooMany("this process has as many event streams open as it may", _RETRY_S)
        self._name = name
        self._held = True
        self._taken[name] += 1

    def release(self) -> None:
        if self._held:
            self._held = False
            self._taken[self._name] -= 1
            if not self._taken[self._name]:
                del self._taken[self._name]


async def _stream(reader: Reader, slot: _Slot) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    heartbeat_s = settings.QUORATE["STREAM_HEARTBEAT_S"]
    end, heartbeat = clock() + settings.QUORATE["STREAM_S"], clock() + heartbeat_s
    try:
        # Subscribed before the rows are read, so that no ring falls in between.
        async with wakeups.subscribe(wakeups.events_key(reader.organisation_id)) as doorbell:
            yield f"retry: {_RETRY_S * 1000}\n\n"
            while clock() < end:
                for event in await in_thread(reader.read):
                    yield event
                if clock() >= heartbeat:
                    if not await in_thread(reader.still_allowed):
                        return
                    yield ": heartbeat\n\n"
                    heartbeat = clock() + heartbeat_s
                if not reader.behind:
                    await doorbell.wait(max(0.0, min(reader.recheck_s, heartbeat - clock(), end - clock())))
    finally:
        slot.release()


def signed(event: OutboxEvent, *, previous: int) -> str:
    """The event as it goes out; previous: the number of the one before it here, or where the stream began."""
    body = json.dumps({**facts(event), "previous": previous}, separators=(",", ":"))
    timestamp = str(time.time_ns() // 1_000_000)
    signature = sign_body(signing_key(), body.encode(), timestamp)
    data = json.dumps({"body": body, "timestamp": timestamp, "signature": signature}, separators=(",", ":"))
    return f"id: {event.sequence}\nevent: {event.type}\ndata: {data}\n\n"


def _types(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    types = tuple(text.split(","))
    if len(types) > _MAX_TYPES or len(text) > 1000 or not all(map(_TYPE.fullmatch, types)):
        raise invalid("types", f"must be at most {_MAX_TYPES} types of events, separated by commas")
    return types


def _last_event_id(request: ASGIRequest) -> int | None:
    text = request.GET.get("last_event_id") or request.headers.get(LAST_EVENT_HEADER, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _MAX_SEQUENCE):
        raise invalid(LAST_EVENT_HEADER, "must be the number of an event")
    # Of another site, or of this one before it was restored: its reader would wait for ever.
    if int(text) > feed.newest_sequence():
        raise invalid(LAST_EVENT_HEADER, "is the number of no event yet")
    return int(text)
