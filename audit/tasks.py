"""Celery tasks of the audit log."""

from celery import shared_task

from audit import services


@shared_task(name="audit.tasks.checkpoint", expires=60)
def checkpoint() -> None:
    """Sign what was written since the last checkpoint."""
    services.checkpoint()


@shared_task(name="audit.tasks.prune", expires=600)
def prune() -> None:
    """Delete countersignatures that later ones have made superfluous."""
    services.forget_old_words()
