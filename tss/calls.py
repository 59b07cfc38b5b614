"""Calling nodes: there is something for them in the database."""

import logging

from django.conf import settings
from django.db import transaction

from tss import jobs, wakeups
from tss.documents import manifest_of
from tss.models import TssRequest
from wire.canonical import CanonicalError
from wire.fields import WireError

logger = logging.getLogger(__name__)

WAKE_SERVICE_SIGNER = "signers.tasks.wake"
SERVICE_SIGNER_QUEUE = "service_signer"


def wake_holders(request: TssRequest) -> None:
    """Wake the nodes of the request's target group after the commit."""
    try:
        manifest = manifest_of(request.manifest)
    except (CanonicalError, WireError) as error:
        # Somebody spoilt the row. The request must be able to end all the same.
        logger.error("request %s has no readable manifest: %s", request.id, error)
        return
    wakeups.notify(manifest.node_ids)
    # In production the service signer sleeps until its queue is rung.
    if settings.QUORATE["SERVICE_SIGNER"] == "celery" and manifest.service_members():
        transaction.on_commit(lambda: jobs.send(WAKE_SERVICE_SIGNER, queue=SERVICE_SIGNER_QUEUE), robust=True)
