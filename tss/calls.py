"""Calling nodes: there is something for them in the database."""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from leasing import doorbell
from tss import wakeups
from tss.models import Ceremony, TssRequest
from vaults.models import NodeKind

WAKE_SERVICE_SIGNER = "signers.tasks.wake"
SERVICE_SIGNER_QUEUE = "service_signer"


def wake_holders(request: TssRequest) -> None:
    """Wake everybody that the request is shown to, after the commit."""
    _wake(request.voters.values_list("node_id", "node__kind"))


def wake_participants(ceremony: Ceremony) -> None:
    """Wake the participants of a ceremony after the commit."""
    _wake(ceremony.members.values_list("node_id", "node__kind"))


def _wake(nodes: Iterable[tuple[str, str]]) -> None:
    kinds = dict(nodes)
    wakeups.notify(kinds)
    # In production the service signer sleeps until its queue is rung.
    if settings.QUORATE["SERVICE_SIGNER"] == "celery" and NodeKind.SERVICE in kinds.values():
        transaction.on_commit(
            lambda: doorbell.send(WAKE_SERVICE_SIGNER, queue=SERVICE_SIGNER_QUEUE), robust=True
        )
