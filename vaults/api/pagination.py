"""Cursor pages as the compatible API shows them: strings, "" for none, and a total kept by counters."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.core import signing
from django.db.models import Model, Q, QuerySet

from vaults.api.base import Call
from vaults.errors import invalid

DEFAULT_LIMIT = 10
MAX_LIMIT = 50
_MAX_CURSOR = 300

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Order:
    """By a column of times and then by id, or by id alone where `time` is ""."""

    time: str = "created_at"
    descending: bool = True

    def names(self, *, descending: bool) -> tuple[str, ...]:
        names = (self.time, "id") if self.time else ("id",)
        return tuple(f"-{name}" if descending else name for name in names)


NEWEST_FIRST = Order()
AS_MADE = Order(time="", descending=False)


def page(
    rows: QuerySet[M],
    call: Call,
    *,
    total: int | None = None,
    shape: Callable[[M], Any],
    order: Order = NEWEST_FIRST,
) -> dict[str, Any]:
    """One page of `rows` in `order`; total: None shows none.

    Cost does not depend on how many rows there are: a page starts at its cursor. Raises ServiceError 2006.
    """
    limit = _limit(call.query("limit"))
    after, before = call.query("after"), call.query("before")
    if after and before:
        raise invalid("before", "only one of before and after may be given")
    backwards = bool(before)
    cursors = _Cursors(rows.model._meta.label, order)
    field, text = ("before", before) if backwards else ("after", after)
    # Going back reads the rows in front of the cursor in reverse.
    descending = order.descending != backwards
    rows = rows.order_by(*order.names(descending=descending))
    if text:
        rows = rows.filter(cursors.beyond(cursors.parse(text, field), descending=descending))
    found = list(rows[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    if backwards:
        found.reverse()
    # A page reached by a cursor has the row of that cursor on its other side.
    has_before, has_after = (more, True) if backwards else (bool(text), more)
    pagination: dict[str, Any] = {
        "before": cursors.of(found[0]) if found and has_before else "",
        "after": cursors.of(found[-1]) if found and has_after else "",
    }
    if total is not None:
        pagination["total_count"] = total
    return {"data": [shape(row) for row in found], "pagination": pagination}


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"must be a whole number between 1 and {MAX_LIMIT}")
    return int(text)


class _Cursors:
    """Signed positions in one kind of list; a changed cursor, or one of another list or order, is refused."""

    def __init__(self, label: str, order: Order) -> None:
        way = "descending" if order.descending else "ascending"
        self._signer = signing.Signer(salt=f"quorate.page.{label}.{order.time}.{way}")
        self._time = order.time

    def of(self, row: Any) -> str:
        position = [str(row.pk)]
        if self._time:
            position.append(getattr(row, self._time).isoformat())
        return self._signer.sign_object(position)

    def parse(self, text: str, field: str) -> list[str]:
        try:
            if len(text) > _MAX_CURSOR:
                raise signing.BadSignature
            position: list[str] = self._signer.unsign_object(text)
        except (signing.BadSignature, ValueError):
            raise invalid(field, "is not a cursor of this list in this order") from None
        return position

    def beyond(self, position: list[str], *, descending: bool) -> Q:
        way = "lt" if descending else "gt"
        past_id = Q(**{f"id__{way}": position[0]})
        if not self._time:
            return past_id
        time = datetime.fromisoformat(position[1])
        # The first condition is implied; it lets the index start at the cursor.
        return Q(**{f"{self._time}__{way}e": time}) & (
            Q(**{f"{self._time}__{way}": time}) | Q(**{self._time: time}) & past_id
        )
