"""The four books in which a request's life is kept: row, timeline, outbox, audit chain."""

from audit import services as audit
from audit.models import AuditRow
from tests.tss.nodes import fresh
from tss.models import RequestEvent, TssRequest
from webhooks.models import OutboxEvent


def check_books(request: TssRequest, *, chain: bool = True) -> None:
    """They tell one story: one entry a version, without gaps, in one order.

    chain: also verify the whole audit chain, which takes its length.
    """
    stored = fresh(request)
    events = list(RequestEvent.objects.filter(request=request).order_by("version"))
    assert [event.version for event in events] == list(range(stored.version + 1))
    assert events[-1].state == stored.state
    outbox = OutboxEvent.objects.filter(
        data__tss_request_id=request.id, type__contains=".tss_request."
    ).order_by("sequence")
    assert [event.data["state"] for event in outbox] == [event.state for event in events]
    subject = f"tss_request:{request.id}"
    audited = AuditRow.objects.filter(subject=subject, act__startswith="tss_request.").order_by("sequence")
    acts = [event.state.lower() if event.kind == "transition" else event.kind for event in events]
    assert [row.act.removeprefix("tss_request.") for row in audited] == acts
    assert not chain or audit.verify() is None
