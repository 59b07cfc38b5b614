"""Scheduled Refresh: exactly one request a period, whoever sweeps and how often (T06)."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AuditRow
from tests.tss.asking import intent, policy
from tests.tss.nodes import Site, fresh
from tss import schedule, tasks
from tss.models import TssRequest
from tss.services import create_request
from vaults import services as vaults
from vaults.models import Group

pytestmark = pytest.mark.embedded


@pytest.fixture
def due(keyed: Site) -> Site:
    """A Main group whose Refresh is due since a second."""
    vaults.schedule_refresh(actor=keyed.actor, group=keyed.group, every_days=30)
    Group.objects.update(next_refresh_at=timezone.now() - timedelta(seconds=1))
    return keyed


def refreshes() -> list[TssRequest]:
    return list(TssRequest.objects.filter(type="Refresh").order_by("created_at"))


def test_due_refresh_is_asked_for_once(due: Site) -> None:
    tasks.sweep()
    (request,) = refreshes()
    requester = intent(request).requester
    assert (requester.kind, requester.id, requester.api_key) == ("robot", "schedule", "")
    assert request.requester_member is None
    group = Group.objects.get(pk=due.group.pk)
    assert group.next_refresh_at is not None
    assert timedelta(days=29) < group.next_refresh_at - timezone.now() <= timedelta(days=30)
    tasks.sweep()
    assert refreshes() == [request]
    due.finish(due.start(due.approve(request)))
    assert fresh(request).state == "Succeeded"


def test_the_vault_is_held_before_the_group(due: Site) -> None:
    """As by whoever changes the group's shares: else each would wait for the other."""
    with CaptureQueriesContext(connection) as queries:
        schedule.refresh_due()
    tables = [each["sql"].split('"')[1] for each in queries if each["sql"].startswith("UPDATE")]
    assert tables.index("vaults_vault") < tables.index("vaults_group")
    assert len(refreshes()) == 1


def test_nothing_is_asked_for_before_it_is_due(keyed: Site) -> None:
    vaults.schedule_refresh(actor=keyed.actor, group=keyed.group, every_days=1)
    tasks.sweep()
    assert refreshes() == []


def test_t06_sweeper_that_read_the_group_before_another_moved_on(
    due: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = Group.objects.select_related("vault__organisation").get(pk=due.group.pk)
    schedule.refresh_due()
    schedule._refresh(stale)
    assert len(refreshes()) == 1


def test_t06_long_stop_asks_for_one_refresh(due: Site) -> None:
    Group.objects.update(next_refresh_at=timezone.now() - timedelta(days=300))
    for _ in range(3):
        tasks.sweep()
    assert len(refreshes()) == 1


def test_group_with_an_open_request_waits_for_the_next_period(due: Site) -> None:
    open_request = due.request(type="Refresh")
    tasks.sweep()
    assert refreshes() == [open_request]
    (note,) = AuditRow.objects.filter(act="group.refresh_skipped")
    assert (note.subject, note.actor) == (f"group:{due.group.id}", "system:schedule")
    assert "another open request" in note.detail
    assert Group.objects.get(pk=due.group.pk).next_refresh_at > timezone.now()  # type: ignore[operator]


def test_r12_policy_that_forbids_robots_to_ask(due: Site) -> None:
    policy(due, creators={"Refresh": ["admin"]})
    tasks.sweep()
    assert refreshes() == []
    assert AuditRow.objects.filter(act="group.refresh_skipped").count() == 1


def test_retired_group_is_left_alone(due: Site) -> None:
    Group.objects.filter(pk=due.group.pk).update(retired_at=timezone.now())
    tasks.sweep()
    assert refreshes() == []


def test_fault_with_one_group_does_not_stop_the_others(due: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    other = due.new_group(type="SigningGroup", signers=due.join("Dora", "Erin"))
    due.succeeded(other, type="KeyGenFromKeyGroup", source_group_id=str(due.group.id))
    other.refresh_from_db()
    vaults.schedule_refresh(actor=due.actor, group=other, every_days=1)
    past = timezone.now() - timedelta(days=2)
    Group.objects.filter(pk=other.pk).update(next_refresh_at=past + timedelta(days=1))
    Group.objects.filter(pk=due.group.pk).update(next_refresh_at=past)

    def broken(**fields: object) -> TssRequest:
        if fields["target_group_id"] == str(due.group.id):
            raise RuntimeError("the database is away")
        return create_request(**fields)  # type: ignore[arg-type]

    monkeypatch.setattr("tss.schedule.create_request", broken)
    tasks.sweep()
    assert [request.target_group_id for request in refreshes()] == [other.pk]
    # What failed left nothing behind: it is still due.
    assert Group.objects.get(pk=due.group.pk).next_refresh_at == past
