"""One table decides every transition, and each one leaves all of its rows or none."""

from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditRow
from tests.tss.nodes import SYSTEM, Site, fresh
from tss.errors import Stale
from tss.lifecycle import TRANSITIONS, audits_last, note, transition
from tss.models import Job, RequestEvent, State, TssRequest
from tss.representation import compatible_status, represent
from vaults.errors import ErrorCode, ServiceError
from webhooks.models import OutboxEvent

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

# docs/architecture.md, "Lifecycle", written out by hand: the code's table must say the same.
ALLOWED = {
    ("AwaitingApproval", "Approved"),
    ("AwaitingApproval", "Rejected"),
    ("AwaitingApproval", "Expired"),
    ("AwaitingApproval", "Cancelled"),
    ("AwaitingApproval", "Unsatisfiable"),
    ("Approved", "AwaitingApproval"),
    ("Approved", "Running"),
    ("Approved", "Rejected"),
    ("Approved", "Expired"),
    ("Approved", "Cancelled"),
    ("Approved", "Unsatisfiable"),
    ("Running", "Succeeded"),
    ("Running", "Failed"),
    ("Failed", "Approved"),
    ("Failed", "Succeeded"),
}
STATUS = {
    "AwaitingApproval": "PendingKeyHolderConfirmation",
    "Approved": "MPCProcessing",
    "Running": "KeyGenerating",
    "Succeeded": "Success",
    "Failed": "KeyGeneratingFailed",
    "Rejected": "KeyHolderConfirmationFailed",
    "Expired": "KeyHolderConfirmationFailed",
    "Cancelled": "KeyHolderConfirmationFailed",
    "Unsatisfiable": "KeyHolderConfirmationFailed",
}
PAIRS = sorted(product(State.values, State.values))


def in_state(site: Site, state: str) -> TssRequest:
    request = site.request()
    TssRequest.objects.filter(pk=request.pk).update(state=state)
    return fresh(request)


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (RequestEvent, OutboxEvent, AuditRow, Job))


def test_table_is_the_design() -> None:
    assert {(str(a), str(b)) for a, targets in TRANSITIONS.items() for b in targets} == ALLOWED


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_each_pair_of_states(site: Site, before: str, after: str) -> None:
    request = in_state(site, before)
    events, outbox, audit, jobs = counts()
    if (before, after) not in ALLOWED:
        with pytest.raises(ServiceError) as caught:
            transition(request=request, to=State(after), actor=SYSTEM)
        assert caught.value.code is ErrorCode.WRONG_STATE
        assert counts() == (events, outbox, audit, jobs)
        assert fresh(request).state == before
        return
    transition(request=request, to=State(after), actor=SYSTEM, reason="because", failed_node_ids=["quo1"])
    stored = fresh(request)
    assert (stored.state, stored.version, stored.state_reason) == (after, 1, "because")
    assert stored.failed_node_ids == ["quo1"]
    assert stored.attempt == (2 if (before, after) == ("Failed", "Approved") else 1)
    # Exactly one of each row; a job where the transition makes work due.
    assert counts() == (events + 1, outbox + 1, audit + 1, jobs + (after == "Approved"))
    event = RequestEvent.objects.get(request=request, version=1)
    assert (event.state, event.actor, event.detail["from"]) == (after, "system:test", before)


def test_r20_a_sixth_attempt_is_refused(site: Site) -> None:
    request = in_state(site, "Failed")
    TssRequest.objects.filter(pk=request.pk).update(attempt=5)
    with pytest.raises(ServiceError, match="at most 5 attempts"):
        transition(request=fresh(request), to=State.APPROVED, actor=SYSTEM)


def test_r26_going_on_with_the_same_ceremony_is_no_new_attempt(site: Site) -> None:
    request = in_state(site, "Failed")
    TssRequest.objects.filter(pk=request.pk).update(attempt=5)
    transition(request=fresh(request), to=State.APPROVED, actor=SYSTEM, same_attempt=True)
    assert (fresh(request).state, fresh(request).attempt) == ("Approved", 5)


def test_a_failure_says_whether_a_retry_can_help(site: Site) -> None:
    request = in_state(site, "Running")
    transition(request=request, to=State.FAILED, actor=SYSTEM, retryable=True)
    assert represent(fresh(request))["retryable"] is True
    transition(request=request, to=State.APPROVED, actor=SYSTEM)
    assert represent(fresh(request))["retryable"] is False


def test_leaving_approved_ends_its_job(site: Site) -> None:
    for state in ("AwaitingApproval", "Cancelled", "Unsatisfiable"):
        request = site.request(site.new_group())
        transition(request=request, to=State.APPROVED, actor=SYSTEM)
        assert Job.objects.get(reference=request.id).done_at is None
        transition(request=request, to=State(state), actor=SYSTEM)
        assert Job.objects.get(reference=request.id).done_at is not None


def test_audit_rows_of_several_requests_come_after_all_their_rows(site: Site) -> None:
    """Whoever waits for a place in the audit chain may hold one of the rows."""
    first, second = site.request(), site.request(site.new_group())
    audited = AuditRow.objects.count()
    with audits_last():
        transition(request=first, to=State.CANCELLED, actor=SYSTEM)
        with audits_last():
            transition(request=second, to=State.CANCELLED, actor=SYSTEM)
        assert AuditRow.objects.count() == audited
    subjects = list(AuditRow.objects.order_by("sequence").values_list("subject", flat=True))[audited:]
    assert subjects == [f"tss_request:{first.id}", f"tss_request:{second.id}"]


def test_audit_rows_of_a_block_that_failed_are_not_written(site: Site) -> None:
    request = site.request()
    audited = AuditRow.objects.count()

    def fail() -> None:
        with audits_last():
            transition(request=request, to=State.CANCELLED, actor=SYSTEM)
            raise Stale

    with pytest.raises(Stale):
        fail()
    assert AuditRow.objects.count() == audited


@pytest.mark.parametrize("state", sorted(State.values))
def test_compatible_status(state: str) -> None:
    assert compatible_status(state) == STATUS[state]


def test_second_swap_of_one_version_is_stale(site: Site) -> None:
    first = site.request()
    second = fresh(first)
    transition(request=first, to=State.CANCELLED, actor=SYSTEM)
    before = counts()
    with pytest.raises(Stale):
        transition(request=second, to=State.APPROVED, actor=SYSTEM)
    with pytest.raises(Stale):
        note(request=second, kind="approved", actor=SYSTEM, detail={})
    assert counts() == before


def test_audit_failure_undoes_the_transition(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    request = site.request()
    before = counts()

    def fail(**_: object) -> None:
        raise RuntimeError("no space for audit rows")

    monkeypatch.setattr("tss.lifecycle.audit.record", fail)
    with pytest.raises(RuntimeError):
        transition(request=fresh(request), to=State.CANCELLED, actor=SYSTEM)
    assert fresh(request).state == "AwaitingApproval"
    assert counts() == before


@pytest.mark.parametrize(
    ("path", "types"),
    [
        (["Approved", "Running", "Succeeded"], ["created", "updated", "updated", "succeeded"]),
        (["Approved", "Running", "Failed"], ["created", "updated", "updated", "failed"]),
        (["Rejected"], ["created", "failed"]),
        (["Expired"], ["created", "failed"]),
        (["Cancelled"], ["created", "failed"]),
        (["Unsatisfiable"], ["created", "failed"]),
    ],
)
def test_events_for_consumers(site: Site, path: list[str], types: list[str]) -> None:
    request = site.request()
    for state in path:
        transition(request=request, to=State(state), actor=SYSTEM)
    events = OutboxEvent.objects.filter(type__contains=".tss_request.").order_by("sequence")
    assert [event.type for event in events] == [f"wallets.mpc.tss_request.{name}" for name in types]
    last = events.last()
    assert last is not None
    assert last.data == {"data_type": "TSSRequest", **represent(fresh(request))}


def test_types_that_the_vendor_does_not_know_have_events_of_their_own(site: Site) -> None:
    request = site.request()
    TssRequest.objects.update(type="Refresh")
    for state in ("Approved", "Running", "Succeeded"):
        request = transition(request=fresh(request), to=State(state), actor=SYSTEM)
    types = OutboxEvent.objects.filter(type__startswith="quorate.tss_request").order_by("sequence")
    assert [event.type for event in types] == [
        f"quorate.tss_request.{name}" for name in ("updated", "updated", "succeeded")
    ]
    assert types[0].data["type"] == "Refresh"


def test_transition_reads_the_decisions_once(site: Site) -> None:
    request = site.request()
    with CaptureQueriesContext(connection) as queries:
        transition(request=request, to=State.APPROVED, actor=SYSTEM)
    assert sum('FROM "tss_approval"' in each["sql"] for each in queries) == 1
