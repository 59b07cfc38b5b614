"""Runs one due job under its lease."""

import logging
from collections.abc import Callable
from datetime import datetime

from audit import log_context
from leasing.leases import LeaseLost
from tss import ceremonies, jobs, opening
from tss.models import JobKind

logger = logging.getLogger(__name__)

Step = Callable[[str, jobs.Lease], datetime | None]

_STEPS: dict[JobKind, Step] = {
    JobKind.START_CEREMONY: opening.start,
    JobKind.DRIVE_CEREMONY: ceremonies.drive,
}
# What the job's reference is the id of, for the log.
_REFERENCE = {JobKind.START_CEREMONY: "tss_request_id", JobKind.DRIVE_CEREMONY: "ceremony_id"}


def run(job_id: int) -> bool:
    """Claim the job and do its step, again while it is rung meanwhile; whether this call did any work.

    A step is short and idempotent, and returns when the job is due next, or None when it is done.
    """
    lease = jobs.claim(job_id)
    if lease is None:
        return False
    kind = JobKind(lease.job.kind)
    with log_context.about(job_id=str(job_id), **{_REFERENCE[kind]: lease.job.reference}):
        return _work(lease, _STEPS[kind])


def _work(lease: jobs.Lease, step: Step) -> bool:
    try:
        while not lease.settle(step(lease.job.reference, lease)):
            lease.hold()
    except LeaseLost as lost:
        logger.warning("lease lost: %s", lost)
        return False
    except Exception:
        lease.postpone()
        raise
    return True
