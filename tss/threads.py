"""Database work of async views."""

from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run database work in a worker thread and give its connection back before the caller waits on."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False)()
