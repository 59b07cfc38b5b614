"""The right to work on a row for a while: claimed by compare-and-swap, fenced against who slept too long."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from django.db.models import Q, QuerySet
from django.utils import timezone

from leasing.models import Leased

R = TypeVar("R", bound=Leased)


class LeaseLost(Exception):
    """Somebody else took the row over; what the caller was about to write is not to be written."""


@dataclass
class Lease(Generic[R]):
    """The right to work on `row` until `leased_until`; `fence` rises with every claim.

    seconds: how long it lasts without a sign of life.
    """

    row: R
    fence: int
    seconds: float

    @classmethod
    def claim(cls, rows: "QuerySet[R]", *, seconds: float, **changes: Any) -> Self | None:
        """Take the one row in `rows` if nobody holds it, and write `changes` with it; else None."""
        now = timezone.now()
        row = rows.filter(free(now)).first()
        if row is None:
            return None
        fence = row.fence + 1
        end = now + timedelta(seconds=seconds)
        unclaimed = rows.filter(free(now), pk=row.pk, fence=row.fence)
        if unclaimed.update(fence=fence, leased_until=end, **changes) != 1:
            return None
        # Read again: the row may have changed between the two statements.
        row.refresh_from_db()
        return cls(row, fence, seconds)

    def hold(self) -> None:
        """Renew the lease; raise LeaseLost if it was taken over.

        A step calls it inside the transaction of each of its writes, so a worker that slept too long cannot
        write after its successor.
        """
        end = timezone.now() + timedelta(seconds=self.seconds)
        if self.mine().update(leased_until=end) != 1:
            raise LeaseLost(f"{self.row._meta.label} {self.row.pk}, fence {self.fence}")

    def release(self) -> None:
        """Let others have the row; no effect once it was taken over."""
        self.mine().update(leased_until=None)

    def mine(self) -> "QuerySet[R]":
        """The row, as long as the lease is this one."""
        rows: QuerySet[R] = type(self.row)._default_manager.filter(pk=self.row.pk, fence=self.fence)
        return rows


def free(now: datetime) -> Q:
    """Of rows that nobody works on."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=now)
