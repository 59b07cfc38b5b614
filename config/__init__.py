"""Settings and entry points of the coordinator."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
