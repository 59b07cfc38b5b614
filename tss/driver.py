"""Runs one due job under its lease."""

import logging

from leasing.leases import LeaseLost
from tss import ceremonies, jobs, opening
from tss.models import JobKind

logger = logging.getLogger(__name__)

_STEPS = {
    JobKind.START_CEREMONY: opening.start,
    JobKind.DRIVE_CEREMONY: ceremonies.drive,
}


def run(job_id: int) -> bool:
    """Claim the job and do its step, again while it is rung meanwhile; whether this call did any work.

    A step is short and idempotent, and returns when the job is due next, or None when it is done.
    """
    lease = jobs.claim(job_id)
    if lease is None:
        return False
    step = _STEPS[JobKind(lease.job.kind)]
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
