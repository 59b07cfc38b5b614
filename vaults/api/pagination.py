"""Cursor pages as the compatible API shows them: strings, "" for none, and a total kept by counters."""

from collections.abc import Callable
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


def page(
    rows: QuerySet[M],
    call: Call,
    *,
    total: int | None = None,
    shape: Callable[[M], Any],
    newest_first: bool = True,
) -> dict[str, Any]:
    """One page of `rows`: by (created_at, id) with the newest first, else by id; total: None shows none.

    Cost does not depend on how many rows there are: a page starts at its cursor. Raises ServiceError 2006.
    """
    limit = _limit(call.query("limit"))
    after, before = call.query("after"), call.query("before")
    if after and before:
        raise invalid("before", "only one of before and after may be given")
    backwards = bool(before)
    cursors = _Cursors(rows.model._meta.label, dated=newest_first)
    field, text = ("before", before) if backwards else ("after", after)
    # Going back reads the rows in front of the cursor in reverse.
    descending = newest_first != backwards
    rows = rows.order_by(*cursors.order(descending=descending))
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
    """Signed positions in one kind of list; a changed or foreign cursor is refused."""

    def __init__(self, label: str, *, dated: bool) -> None:
        self._signer = signing.Signer(salt=f"quorate.page.{label}")
        self._dated = dated

    def order(self, *, descending: bool) -> tuple[str, ...]:
        names = ("created_at", "id") if self._dated else ("id",)
        return tuple(f"-{name}" if descending else name for name in names)

    def of(self, row: Any) -> str:
        position = [str(row.pk)]
        if self._dated:
            position.append(row.created_at.isoformat())
        return self._signer.sign_object(position)

    def parse(self, text: str, field: str) -> list[str]:
        try:
            if len(text) > _MAX_CURSOR:
                raise signing.BadSignature
            position: list[str] = self._signer.unsign_object(text)
        except (signing.BadSignature, ValueError):
            raise invalid(field, "is not a cursor of this list") from None
        return position

    def beyond(self, position: list[str], *, descending: bool) -> Q:
        way = "lt" if descending else "gt"
        past_id = Q(**{f"id__{way}": position[0]})
        if not self._dated:
            return past_id
        created = datetime.fromisoformat(position[1])
        # The first condition is implied; it lets the index start at the cursor.
        return Q(**{f"created_at__{way}e": created}) & (
            Q(**{f"created_at__{way}": created}) | Q(created_at=created) & past_id
        )
