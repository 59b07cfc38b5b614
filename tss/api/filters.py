"""What the native lists of requests can be asked for: filters and orders, each served by an index."""

import uuid
from datetime import UTC, datetime

from django.db.models import QuerySet

from tss import selectors
from tss.models import RequestType, State, TssRequest
from tss.representation import COMPATIBLE_STATUS
from vaults.api.base import Call
from vaults.api.pagination import Order
from vaults.errors import invalid
from vaults.selectors import parse_id

SORT_BY = {
    "created_timestamp": "created_at",
    "updated_timestamp": "updated_at",
    "expires_timestamp": "expires_at",
}
DIRECTIONS = ("DESC", "ASC")
STATUSES = tuple(dict.fromkeys(COMPATIBLE_STATUS.values()))
# Bounds of time, both included: parameter -> lookup.
TIMES = {
    "min_created_timestamp": "created_at__gte",
    "max_created_timestamp": "created_at__lte",
    "min_updated_timestamp": "updated_at__gte",
    "max_updated_timestamp": "updated_at__lte",
}
# A trigram needs three; what is searched has at most a thousand.
MIN_TEXT, MAX_TEXT = 3, 100
# 9999-12-31, the last day that a time can name.
MAX_TIMESTAMP = 253_402_214_400_000


def filtered(rows: "QuerySet[TssRequest]", call: Call) -> "QuerySet[TssRequest]":
    """The rows that the query asks for. Raises ServiceError 2006 naming the parameter."""
    if type := _choice(call, "type", RequestType.values):
        rows = rows.filter(type=type)
    if state := _choice(call, "state", State.values):
        rows = rows.filter(state=state)
    if status := _choice(call, "status", STATUSES):
        states = [state for state, word in COMPATIBLE_STATUS.items() if word == status]
        rows = rows.filter(state__in=states)
    if group_id := call.query("group"):
        rows = rows.filter(target_group=uuid_of("group", group_id))
    for name, lookup in TIMES.items():
        if text := call.query(name):
            rows = rows.filter(**{lookup: _time(name, text)})
    if text := call.query("text"):
        if not MIN_TEXT <= len(text) <= MAX_TEXT or "\x00" in text:
            raise invalid("text", f"must have {MIN_TEXT} to {MAX_TEXT} characters")
        rows = selectors.described(rows, text)
    return rows


def order(call: Call) -> Order:
    """The order that the query asks for, the newest first if it does not. Raises ServiceError 2006."""
    sort_by = _choice(call, "sort_by", SORT_BY) or "created_timestamp"
    return Order(SORT_BY[sort_by], descending=_choice(call, "direction", DIRECTIONS) != "ASC")


def uuid_of(name: str, text: str) -> uuid.UUID:
    """The id that a parameter gives. Raises ServiceError 2006."""
    key = parse_id(text)
    if key is None:
        raise invalid(name, "must be a UUID")
    return key


def _choice(call: Call, name: str, choices: "list[str] | tuple[str, ...] | dict[str, str]") -> str:
    value = call.query(name)
    if value and value not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return value


def _time(name: str, text: str) -> datetime:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) <= MAX_TIMESTAMP):
        raise invalid(name, "must be a time in Unix milliseconds")
    seconds, milliseconds = divmod(int(text), 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
