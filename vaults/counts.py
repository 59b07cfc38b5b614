"""Counter rows behind the totals of lists (docs/api.md): kept in the transaction of each write."""

from django.db import IntegrityError, transaction
from django.db.models import F

from vaults.models import RowCount


def count(scope: str, by: int = 1) -> None:
    """Add `by` to the counter of `scope`, inside the transaction that adds or removes the rows."""
    rows = RowCount.objects.filter(scope=scope)
    if rows.update(count=F("count") + by):
        return
    try:
        with transaction.atomic():
            RowCount.objects.create(scope=scope, count=by)
    except IntegrityError:  # made by somebody else in between
        rows.update(count=F("count") + by)


def total(scope: str) -> int:
    """How many rows `scope` holds."""
    row = RowCount.objects.filter(scope=scope).first()
    return row.count if row else 0
