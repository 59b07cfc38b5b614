"""Requests that run no ceremony: what they change at the coordinator once they are approved (R12, R16).

The nodes learn of them from later documents and judge them themselves.
"""

from django.utils import timezone

from tss import announcements
from tss.documents import intent_of
from tss.errors import Stale
from tss.models import RequestType, ShareSet, TssRequest
from vaults import services as vaults
from vaults.models import Group, GroupStatus, GroupType, Vault
from wire.intent import CONVERTED


def apply(request: TssRequest) -> None:
    """Make the change of an approved decree, in the transaction of its success, which holds the vault.

    Raises Stale when somebody else changed what it changes.
    """
    if request.type == RequestType.POLICY_CHANGE:
        _change_policy(request)
    else:
        _change_roles(request)


def _change_policy(request: TssRequest) -> None:
    governed = Vault.objects.filter(pk=request.vault_id, policy=request.policy)
    if governed.update(policy=request.new_policy) != 1:
        raise Stale
    vaults.announce_policy(Vault.objects.get(pk=request.vault_id))


def _change_roles(request: TssRequest) -> None:
    main = Group.objects.filter(
        vault=request.vault_id, type=GroupType.MAIN, status=GroupStatus.VALID, retired_at__isnull=True
    ).first()
    if main is None:
        raise Stale
    keep = intent_of(request.intent).original_main == CONVERTED
    vaults.promote_group(group=request.target_group, main=main, keep_main=keep)
    if not keep:
        for share_set in ShareSet.objects.filter(group=main, active=True).select_related("group__vault"):
            ShareSet.objects.filter(pk=share_set.pk).update(active=False, superseded_at=timezone.now())
            announcements.set_superseded(share_set)
    announcements.group_updated(main)
    announcements.group_updated(request.target_group)
