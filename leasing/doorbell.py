"""Calling a worker. The bell only rings: rows say what is to be done, and a sweeper finds what was lost."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def send(task: str, *args: int | str, queue: str | None = None) -> None:
    """Ring the broker; the caller never fails for it."""
    try:
        current_app.send_task(task, args=args, queue=queue, retry=False)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("broker not reachable, %s waits for the sweeper: %s", task, type(error).__name__)
