"""Due work as rows: a lease with a fence decides who works, the broker only rings (leasing/)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from leasing import doorbell, leases
from tss.models import Job, JobKind

RUN_JOB = "tss.tasks.run_job"
_RETRY_S = 5


def ring(*, kind: JobKind, reference: str, due_at: datetime | None = None) -> None:
    """Make the job of `reference` due (now, unless told otherwise); its worker is called after the commit.

    A row that exists is rung again, also while somebody works on it: Lease.settle then sees the new time.
    """
    due = due_at or timezone.now()
    open_jobs = Job.objects.filter(kind=kind, reference=reference, done_at__isnull=True)
    if not open_jobs.update(due_at=due):
        try:
            with transaction.atomic():
                Job.objects.create(kind=kind, reference=reference, due_at=due)
        except IntegrityError:  # made by somebody else in between
            open_jobs.update(due_at=due)
    if due_at is None:
        for job_id in open_jobs.values_list("pk", flat=True):
            transaction.on_commit(partial(deliver, job_id), robust=True)


def close(*, kind: JobKind, reference: str) -> None:
    """Mark the job of `reference` as done; whoever still works on it finds its lease gone."""
    Job.objects.filter(kind=kind, reference=reference, done_at__isnull=True).update(
        done_at=timezone.now(), leased_until=None
    )


def deliver(job_id: int) -> None:
    """Call a worker for the job; when the broker is down the sweeper does it later."""
    doorbell.send(RUN_JOB, job_id)


def due(limit: int = 100) -> list[int]:
    """The ids of jobs that nobody works on and whose time has come."""
    now = timezone.now()
    return list(
        Job.objects.filter(leases.free(now), done_at__isnull=True, due_at__lte=now)
        .order_by("due_at")
        .values_list("pk", flat=True)[:limit]
    )


def oldest_due_s() -> float | None:
    """For how long the oldest of them has been due, seconds; None where there is none."""
    now = timezone.now()
    free = Job.objects.filter(leases.free(now), done_at__isnull=True, due_at__lte=now)
    due_at = free.order_by("due_at").values_list("due_at", flat=True).first()
    return (now - due_at).total_seconds() if due_at else None


def release_all() -> None:
    """Free every job at once; only where all workers are known to be gone."""
    Job.objects.filter(done_at__isnull=True, leased_until__isnull=False).update(leased_until=None)


@dataclass
class Lease(leases.Lease[Job]):
    """The right to work on a job."""

    @property
    def job(self) -> Job:
        return self.row

    def settle(self, next_due: datetime | None) -> bool:
        """End the work: done (None) or due again later. False: the job was rung meanwhile, go on working."""
        changes = {"done_at": timezone.now()} if next_due is None else {"due_at": next_due}
        if self.mine().filter(due_at=self.job.due_at).update(leased_until=None, **changes):
            return True
        self.job.refresh_from_db()
        return self.job.fence != self.fence or self.job.done_at is not None

    def postpone(self) -> None:
        """Give the job back after a failure, to be tried again; expiry and deadlines end what never works."""
        self.mine().update(leased_until=None, due_at=timezone.now() + timedelta(seconds=_RETRY_S))

    def mine(self) -> "QuerySet[Job]":
        return super().mine().filter(done_at__isnull=True)


def claim(job_id: int) -> Lease | None:
    """Take the job if it is due and nobody holds it."""
    due_now = Job.objects.filter(pk=job_id, done_at__isnull=True, due_at__lte=timezone.now())
    return Lease.claim(due_now, seconds=settings.QUORATE["JOB_LEASE_S"], attempts=F("attempts") + 1)
