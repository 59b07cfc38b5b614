"""Jobs: one worker at a time, a fence against the one that slept, and a sweeper for what was lost."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from config.celery import app
from leasing.leases import LeaseLost
from tests.tss.nodes import Site, fresh, run_job
from tss import driver, jobs, opening, tasks
from tss.models import Ceremony, Job, JobKind

pytestmark = pytest.mark.embedded

KIND = JobKind.START_CEREMONY


@pytest.fixture
def job(db: None) -> Job:
    jobs.ring(kind=KIND, reference="a request")
    return Job.objects.get()


def lease_of(job: Job) -> jobs.Lease:
    lease = jobs.claim(job.pk)
    assert lease is not None
    return lease


def expire_lease() -> None:
    Job.objects.update(leased_until=timezone.now() - timedelta(seconds=1))


def test_one_claim_at_a_time(job: Job) -> None:
    lease = lease_of(job)
    assert jobs.claim(job.pk) is None
    assert lease.settle(None)
    assert jobs.claim(job.pk) is None
    assert Job.objects.get().done_at is not None


def test_job_that_is_not_due_is_left_alone(job: Job) -> None:
    Job.objects.update(due_at=timezone.now() + timedelta(seconds=5))
    assert jobs.claim(job.pk) is None
    assert jobs.due() == []


def test_expired_lease_is_taken_over_and_the_fence_stops_the_old_worker(job: Job) -> None:
    slept = lease_of(job)
    expire_lease()
    successor = lease_of(job)
    assert successor.fence == slept.fence + 1
    with pytest.raises(LeaseLost):
        slept.hold()
    # Nor can the old one end, postpone or give back the job of the new one.
    assert slept.settle(None)
    slept.postpone()
    successor.hold()
    assert Job.objects.get().done_at is None


def test_late_write_of_the_old_worker_is_undone(site: Site) -> None:
    """The fence is checked inside the transaction of the step's writes."""
    request = site.approved()
    job = Job.objects.get()
    slept = lease_of(job)
    expire_lease()
    lease_of(job)
    with pytest.raises(LeaseLost):
        opening.start(request.id, slept)
    assert fresh(request).state == "Approved"
    assert not Ceremony.objects.exists()


def test_hold_renews_the_lease(job: Job) -> None:
    lease = lease_of(job)
    expire_lease()
    lease.hold()
    assert jobs.claim(job.pk) is None


def test_ring_during_the_work_is_not_lost(job: Job) -> None:
    lease = lease_of(job)
    jobs.ring(kind=KIND, reference="a request")
    assert not lease.settle(None)
    assert Job.objects.get().done_at is None
    assert lease.settle(None)


def test_ring_after_the_end_opens_a_new_job(job: Job) -> None:
    lease_of(job).settle(None)
    jobs.ring(kind=KIND, reference="a request")
    assert Job.objects.filter(done_at__isnull=True).count() == 1


def test_failed_step_gives_the_job_back_for_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    request = site.approved()

    def broken(*_: object) -> None:
        raise RuntimeError("broken step")

    with monkeypatch.context() as patch:
        patch.setitem(driver._STEPS, JobKind.START_CEREMONY, broken)
        with pytest.raises(RuntimeError, match="broken step"):
            run_job(JobKind.START_CEREMONY, request.id)
    assert not run_job(JobKind.START_CEREMONY, request.id)
    job = Job.objects.get()
    assert job.leased_until is None
    assert job.due_at > timezone.now()
    Job.objects.update(due_at=timezone.now())
    assert run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Running"


def test_running_a_job_twice_starts_one_ceremony(site: Site) -> None:
    site.approved()
    job = Job.objects.get()
    assert driver.run(job.pk)
    assert not driver.run(job.pk)
    assert Ceremony.objects.count() == 1


def test_t02_sweeper_rings_for_what_was_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is gone, as after a flush of Redis: the row remains, and the next sweep finds it."""
    request = site.approved()
    delivered: list[int] = []
    monkeypatch.setattr(jobs, "deliver", delivered.append)
    tasks.sweep()
    assert delivered == [Job.objects.get().pk]
    tasks.run_job(delivered[0])
    assert fresh(request).state == "Running"


def test_t01_sweeper_rings_for_the_job_of_a_dead_worker(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    lease_of(job)
    delivered: list[int] = []
    monkeypatch.setattr(jobs, "deliver", delivered.append)
    tasks.sweep()
    assert delivered == []
    expire_lease()
    tasks.sweep()
    assert delivered == [job.pk]


def test_dead_broker_does_not_fail_the_caller(
    site: Site, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: object
) -> None:
    called: list[str] = []

    def dead(name: str, **_: object) -> None:
        called.append(name)
        raise OperationalError("connection refused")

    monkeypatch.setattr(app, "send_task", dead)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        request = site.approved()
    assert called == [jobs.RUN_JOB]
    assert fresh(request).state == "Approved"
    assert jobs.due() == [Job.objects.get().pk]


def test_broker_is_rung_after_the_commit_only(
    job: Job, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: object
) -> None:
    sent: list[tuple[str, object]] = []
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append((name, options["args"])))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        with transaction.atomic():
            jobs.ring(kind=KIND, reference="a request")
        assert sent == []
    assert sent == [(jobs.RUN_JOB, (job.pk,))]


def test_lease_is_longer_than_the_sweep_interval() -> None:
    """Otherwise a step that works would be swept away under its worker."""
    interval = app.conf.beat_schedule["sweep"]["schedule"]
    assert settings.QUORATE["JOB_LEASE_S"] > 2 * interval
