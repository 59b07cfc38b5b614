"""Celery tasks of the audit log."""

from celery import shared_task

from audit import services


@shared_task(name="audit.tasks.checkpoint", expires=60)
def checkpoint() -> None:
    """Sign what was written since the last checkpoint."""
    services.checkpoint()
