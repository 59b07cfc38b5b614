"""Celery tasks: each takes an id and calls a service; all of them may run twice or not at all."""

from celery import shared_task

from tss import driver, jobs, retention, schedule, services


@shared_task(name=jobs.RUN_JOB)
def run_job(job_id: int) -> None:
    """Do the due step of a job."""
    driver.run(job_id)


@shared_task(name="tss.tasks.sweep", expires=10)
def sweep() -> None:
    """Ring for due jobs that nobody works on, expire what is overdue, ask for the Refreshes that are due."""
    for job_id in jobs.due():
        jobs.deliver(job_id)
    services.expire_overdue()
    schedule.refresh_due()


@shared_task(name="tss.tasks.prune", expires=600)
def prune() -> None:
    """Delete what has been kept long enough."""
    retention.prune()
