"""The Refresh that a group's schedule asks for."""

import logging

from django.db import transaction
from django.utils import timezone

from audit import services as audit
from tss.models import RequestType
from tss.services import create_request
from tss.services.creation import SCHEDULE
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Group, GroupStatus

logger = logging.getLogger(__name__)


def refresh_due(limit: int = 100) -> None:
    """Ask for the Refresh of every group whose time has come; one that fails does not stop the others."""
    due = Group.objects.filter(
        next_refresh_at__lte=timezone.now(), status=GroupStatus.VALID, retired_at__isnull=True
    )
    for group in due.select_related("vault__organisation").order_by("next_refresh_at")[:limit]:
        try:
            _refresh(group)
        except Exception:  # a database fault with one group must not stop the sweeper
            logger.exception("group %s could not be refreshed", group.pk)


def _refresh(group: Group) -> None:
    """One request a period, however many sweepers run (T06): who moves the time makes it."""
    if group.refresh_every is None:
        return
    # From now on, not from when it was due: after a long stop one Refresh is asked for, not many.
    next_time = timezone.now() + group.refresh_every
    with transaction.atomic():
        # Before the group's row, as whoever changes its shares does.
        vaults.hold_vault(group.vault)
        mine = Group.objects.filter(pk=group.pk, next_refresh_at=group.next_refresh_at)
        if mine.update(next_refresh_at=next_time) != 1:
            return
        try:
            create_request(
                actor=SCHEDULE,
                vault=group.vault,
                type=RequestType.REFRESH,
                target_group_id=str(group.id),
                description="Scheduled Refresh",
            )
        except ServiceError as error:
            # Another request is open, or the policy forbids it: the next period tries again.
            audit.record(
                actor=SCHEDULE.label,
                act="group.refresh_skipped",
                subject=f"group:{group.id}",
                detail={"reason": error.message},
                organisation_id=str(group.vault.organisation_id),
            )
