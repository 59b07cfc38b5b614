"""The HTTP edge of the node API: plain async views, so that a long poll holds no thread.

One thread hop authenticates, stores and reads; a poll that waits holds no thread and no database connection.
"""

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from tss import inbox, node_calls, wakeups
from tss.node_calls import Call, SyncCall
from tss.threads import in_thread
from vaults.errors import ErrorCode, ServiceError
from wire import node_request

logger = logging.getLogger(__name__)

# A ring that was lost (Redis away, a process killed between commit and ring) delays a poll by this at most.
_RECHECK_S = 2.0
# A node polls once; a few more may hang on connections that broke. Beyond that its oldest poll is answered.
_MAX_POLLS = 4
_polls: defaultdict[str, list[wakeups.Doorbell]] = defaultdict(list)


@csrf_exempt
async def enrol(request: HttpRequest) -> HttpResponse:
    """A node joins with a one-time code and its own holder card."""
    try:
        call = _read(request)
        return JsonResponse(await in_thread(lambda: node_calls.enrol(call)))
    except ServiceError as error:
        return _error(error)


@csrf_exempt
async def sync(request: HttpRequest) -> HttpResponse:
    """A node hands in what it has and takes what there is, waiting for it when it asks to."""
    try:
        call = _read(request)
        # Subscribed before the rows are read, so that no ring falls in between.
        async with wakeups.subscribe(call.node_id) as doorbell:
            stored = await in_thread(lambda: node_calls.sync(call))
            return JsonResponse(await _wait(stored, doorbell))
    except ServiceError as error:
        return _error(error)


async def _wait(call: SyncCall, doorbell: wakeups.Doorbell) -> dict[str, Any]:
    clock = asyncio.get_running_loop().time
    end = clock() + min(call.wait_ms / 1000, settings.QUORATE["LONG_POLL_S"])
    polls = _polls[call.node.tss_node_id]
    polls.append(doorbell)
    if len(polls) > _MAX_POLLS:
        polls.pop(0).ring()
    try:
        while not call.news and doorbell in polls and (left := end - clock()) > 0:
            await doorbell.wait(min(left, _RECHECK_S))
            call.news = await in_thread(lambda: inbox.read(call.node, call.ask))
    finally:
        if doorbell in polls:
            polls.remove(doorbell)
    return {
        **call.news.answer(),
        "errors": call.errors,
        "audit": call.audit,
        "server_time": time.time_ns() // 1_000_000,
    }


def _read(request: HttpRequest) -> Call:
    """The call with its authentication headers. Raises ServiceError 2002, 2022 (names the header) or 2006."""
    if request.method != "POST":
        raise ServiceError(ErrorCode.METHOD_UNSUPPORTED, "only POST is supported here")
    node_id = request.headers.get(node_request.NODE_HEADER, "")
    moment = request.headers.get(node_request.TIME_HEADER, "")
    if not 0 < len(node_id) <= 64:
        raise _bad_header(node_request.NODE_HEADER)
    # Eight bytes hold it, and int() stays cheap.
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 16):
        raise _bad_header(node_request.TIME_HEADER)
    try:
        signature = bytes.fromhex(request.headers.get(node_request.SIGNATURE_HEADER, ""))
    except ValueError:
        raise _bad_header(node_request.SIGNATURE_HEADER) from None
    # config/asgi.py caps what is read at all; what arrives here is in memory.
    if len(request.body) > settings.MAX_BODY_BYTES:
        raise ServiceError(
            ErrorCode.INVALID, f"the body is larger than {settings.MAX_BODY_BYTES} bytes", "body"
        )
    return Call(node_id, request.path, int(moment), signature, request.body)


def _error(error: ServiceError) -> HttpResponse:
    error_id = uuid.uuid4().hex
    logger.info("node call refused: %s %s (%s)", int(error.code), error.message, error_id)
    body: dict[str, Any] = {
        "error_code": int(error.code),
        "error_message": error.message,
        "error_id": error_id,
    }
    if error.field:
        body["field"] = error.field
    return JsonResponse(body, status=error.status)


def _bad_header(name: str) -> ServiceError:
    return ServiceError(ErrorCode.HEADERS_MISSING, f"{name} is missing or malformed", name)
