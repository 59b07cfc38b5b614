"""Calling nodes: there is something for them in the database."""

from django.conf import settings
from django.db import transaction

from tss import jobs, wakeups
from tss.documents import manifest_of
from tss.models import TssRequest

WAKE_SERVICE_SIGNER = "signers.tasks.wake"
SERVICE_SIGNER_QUEUE = "service_signer"


def wake_holders(request: TssRequest) -> None:
    """Wake the nodes of the request's target group after the commit."""
    manifest = manifest_of(request.manifest)
    wakeups.notify(manifest.node_ids)
    # In production the service signer sleeps until its queue is rung.
    if settings.QUORATE["SERVICE_SIGNER"] == "celery" and manifest.service_members():
        transaction.on_commit(lambda: jobs.send(WAKE_SERVICE_SIGNER, queue=SERVICE_SIGNER_QUEUE))
