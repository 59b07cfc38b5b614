"""What the log lines of the work in hand are about: ids only, so that nothing secret can stand here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_fields: ContextVar[Mapping[str, str] | None] = ContextVar("fields of the log lines", default=None)


def fields() -> dict[str, str]:
    """The ids that belong to a line written now."""
    return dict(_fields.get() or {})


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Put these ids on every line written inside, beside those from outside: request_id, node_id, job_id,
    tss_request_id, ceremony_id. Threads and tasks begun inside inherit them."""
    token = _fields.set({**fields(), **ids})
    try:
        yield
    finally:
        _fields.reset(token)
