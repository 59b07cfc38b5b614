"""Due work as rows: a lease with a fence decides who works, the broker only rings (docs/architecture.md)."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tss.errors import LeaseLost
from tss.models import Job, JobKind

logger = logging.getLogger(__name__)

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
    send(RUN_JOB, job_id)


def send(task: str, *args: int, queue: str | None = None) -> None:
    """Ring the broker. It only rings: the rows say what is to be done, so the caller never fails for it."""
    try:
        current_app.send_task(task, args=args, queue=queue, retry=False)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("broker not reachable, %s waits for the sweeper: %s", task, type(error).__name__)


def due(limit: int = 100) -> list[int]:
    """The ids of jobs that nobody works on and whose time has come."""
    now = timezone.now()
    return list(
        Job.objects.filter(_free(now), done_at__isnull=True, due_at__lte=now)
        .order_by("due_at")
        .values_list("pk", flat=True)[:limit]
    )


def oldest_due_s() -> float | None:
    """For how long the oldest of them has been due, seconds; None where there is none."""
    now = timezone.now()
    free = Job.objects.filter(_free(now), done_at__isnull=True, due_at__lte=now)
    due_at = free.order_by("due_at").values_list("due_at", flat=True).first()
    return (now - due_at).total_seconds() if due_at else None


def release_all() -> None:
    """Free every job at once; only where all workers are known to be gone."""
    Job.objects.filter(done_at__isnull=True, leased_until__isnull=False).update(leased_until=None)


@dataclass
class Lease:
    """The right to work on a job until `leased_until`; `fence` rises with every claim."""

    job: Job
    fence: int

    def hold(self) -> None:
        """Renew the lease; raise LeaseLost if it was taken over.

        A step calls it inside the transaction of each of its writes, so a worker that slept too long cannot
        write after its successor.
        """
        renewed = self._mine().update(leased_until=_lease_end(timezone.now()))
        if renewed != 1:
            raise LeaseLost(f"job {self.job.pk}, fence {self.fence}")

    def settle(self, next_due: datetime | None) -> bool:
        """End the work: done (None) or due again later. False: the job was rung meanwhile, go on working."""
        changes = {"done_at": timezone.now()} if next_due is None else {"due_at": next_due}
        if self._mine().filter(due_at=self.job.due_at).update(leased_until=None, **changes):
            return True
        self.job.refresh_from_db()
        return self.job.fence != self.fence or self.job.done_at is not None

    def postpone(self) -> None:
        """Give the job back after a failure, to be tried again; expiry and deadlines end what never works."""
        self._mine().update(leased_until=None, due_at=timezone.now() + timedelta(seconds=_RETRY_S))

    def _mine(self) -> "QuerySet[Job]":
        return Job.objects.filter(pk=self.job.pk, fence=self.fence, done_at__isnull=True)


def claim(job_id: int) -> Lease | None:
    """Take the job if it is due and nobody holds it, by compare-and-swap on the fence."""
    now = timezone.now()
    job = Job.objects.filter(_free(now), pk=job_id, done_at__isnull=True, due_at__lte=now).first()
    if job is None:
        return None
    fence = job.fence + 1
    won = Job.objects.filter(_free(now), pk=job.pk, fence=job.fence, done_at__isnull=True).update(
        fence=fence, attempts=job.attempts + 1, leased_until=_lease_end(now)
    )
    if won != 1:
        return None
    # Read again: a ring between the two statements moved due_at, and settle compares with it.
    job.refresh_from_db()
    return Lease(job, fence)


def _free(now: datetime) -> Q:
    return Q(leased_until__isnull=True) | Q(leased_until__lt=now)


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.QUORATE["JOB_LEASE_S"])
