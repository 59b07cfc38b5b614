"""The service's own signer as a Celery worker: rung through its queue, awake only while there is work.

Worker: DJANGO_SETTINGS_MODULE=config.settings.service_signer celery -A config worker -B -Q service_signer
"""

import logging
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings as django_settings
from django.db import connections

from signers import sealing
from signers.database import PostgresDatabase, private_folder
from signers.errors import NodeError
from signers.node import Node
from signers.operate import forbid_core_dumps
from signers.store import Store

# Any: these settings exist in config.settings.service_signer only.
settings: Any = django_settings
log = logging.getLogger("quorate.node")


@shared_task(name="signers.tasks.wake", ignore_result=True)
def wake() -> None:
    """Exchange with the coordinator until there is nothing to do; only one process at a time does."""
    forbid_core_dumps()
    connection = connections["service_signer"]
    connection.ensure_connection()
    store = Store(PostgresDatabase(connection.connection))
    try:
        if not store.database.lock():
            # Another worker is awake; it sees the same database.
            return
        state_dir = Path(settings.SERVICE_SIGNER_STATE)
        private_folder(state_dir)
        secret = sealing.read_key_file(Path(settings.SERVICE_SIGNER_KEY_FILE))
        Node.unlock(store, secret, state_dir).run_until_idle()
    except NodeError as error:
        # The next ring or beat tries again.
        log.error("event=wake_failed code=%s detail=%s", error.code, error.message)
    finally:
        # Closing the connection releases the advisory lock.
        connection.close()
