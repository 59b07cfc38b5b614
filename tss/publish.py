"""What a final certificate changes: share sets, rosters, root keys, and the requests that it overtakes.

All of it in the transaction of the request's success, which holds the vault.
"""

import secrets
import string
import uuid

from django.utils import timezone

from mpc.certificate import Certificate
from tss import announcements, certificates
from tss.documents import intent_of, manifest_of
from tss.errors import Stale
from tss.models import Ceremony, CeremonyState, ShareSet, TssRequest
from tss.services import recheck
from vaults import counts, selectors
from vaults import services as vaults
from vaults.models import Curve, Group, GroupStatus, GroupType, Holder, KeyShareGroup, RootKey, Vault

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHARE_GROUP_ID_LENGTH = 20


def conflict(request: TssRequest, certificate: Certificate) -> str:
    """Why the certified set cannot take its place in these rows, or "".

    Only what would be overwritten counts: whether the request was still a good idea no longer does, since its
    holders have the shares. Root keys never change.
    """
    intent = intent_of(request.intent)
    group = Group.objects.get(pk=request.target_group_id)
    roots = RootKey.objects.filter(vault=request.vault_id)
    stored = dict(roots.values_list("curve", "root_extended_public_key"))
    if intent.source is None and stored:
        return "the vault has root keys meanwhile"
    if intent.source is not None and stored != _root_keys(certificate):
        return "the certificate is not of the vault's root keys"
    if group.retired_at is not None:
        return "the target group was deleted or replaced meanwhile"
    if _active_hash(group.pk) != intent.target.certificate_hash.hex():
        return "the target group has another share set meanwhile"
    retired = _retired_group(request)
    if retired is not None and _active_hash(retired) != intent.retires[0].certificate_hash.hex():
        return "the group to be retired has another share set meanwhile"
    if group.type == GroupType.MAIN and group.status == GroupStatus.NEW:
        mains = Group.objects.filter(
            vault=request.vault_id, type=GroupType.MAIN, status=GroupStatus.VALID, retired_at=None
        )
        if mains.exclude(pk__in=[retired] if retired else []).exists():
            return "the vault has an active MainGroup meanwhile"
    return ""


def publish(ceremony: Ceremony, request: TssRequest, certificate: Certificate) -> None:
    """Put the certified set in the place of what it supersedes. Raises Stale when the group changed."""
    retired = _retired_group(request)
    if retired is not None:
        main = Group.objects.get(pk=retired)
        vaults.supersede_main(main)
        _supersede(main, by=ceremony)
        announcements.group_updated(main)
    group = Group.objects.get(pk=request.target_group_id)
    _supersede(group, by=ceremony)
    share_set = ShareSet.objects.select_related("group__vault").get(ceremony=ceremony)
    ShareSet.objects.filter(pk=share_set.pk).update(active=True)
    announcements.set_activated(share_set)
    if group.status != GroupStatus.NEW:
        _replace_holders(group, request)
    _change_group(group, request)
    _name_keys(group, request, _root_keys(certificate))
    announcements.group_updated(group)
    if intent_of(request.intent).source is None:
        vaults.announce_vault(Vault.objects.get(pk=request.vault_id), "mpc_vaults.updated")
    recheck(request.vault)


def _change_group(group: Group, request: TssRequest) -> None:
    manifest = manifest_of(request.manifest)
    unchanged = Group.objects.filter(
        pk=group.pk, manifest_hash=group.manifest_hash, status=group.status, retired_at=None
    )
    changed = unchanged.update(
        status=GroupStatus.VALID,
        epoch=manifest.epoch,
        threshold=manifest.threshold,
        participants=manifest.participants,
        manifest=request.manifest,
        manifest_hash=manifest.hash().hex(),
        next_refresh_at=timezone.now() + group.refresh_every if group.refresh_every else None,
    )
    if changed != 1:
        raise Stale


def _replace_holders(group: Group, request: TssRequest) -> None:
    """The roster of the manifest, under the names that the request gave; who stays keeps its status."""
    seats = {voter.node_id: voter for voter in request.voters.filter(target=True)}
    before = {holder.node_id: holder for holder in group.holders.all()}
    group.holders.all().delete()
    node_ids = manifest_of(request.manifest).node_ids
    holders = []
    for index, node_id in enumerate(node_ids, start=1):
        seat, kept = seats[node_id], before.get(node_id)
        holder = Holder(group=group, index=index, node_id=node_id, name=seat.name, signer=seat.signer)
        # A node that has got a place of its own meanwhile can no longer be meant for another's.
        if kept is not None and kept.replacement_id not in seats:
            holder.status, holder.replacement_id = kept.status, kept.replacement_id
        holders.append(holder)
    Holder.objects.bulk_create(holders)
    if len(holders) != len(before):
        counts.count(selectors.holders_scope(group.vault_id), len(holders) - len(before))


def _name_keys(group: Group, request: TssRequest, keys: dict[str, str]) -> None:
    if intent_of(request.intent).source is None:
        RootKey.objects.bulk_create(
            RootKey(vault_id=request.vault_id, curve=curve, root_extended_public_key=xpub)
            for curve, xpub in keys.items()
        )
    known = set(KeyShareGroup.objects.filter(group=group).values_list("curve", flat=True))
    KeyShareGroup.objects.bulk_create(
        KeyShareGroup(
            id="".join(secrets.choice(_BASE62) for _ in range(_SHARE_GROUP_ID_LENGTH)),
            group=group,
            curve=curve,
            root_extended_public_key=xpub,
        )
        for curve, xpub in keys.items()
        if curve not in known
    )


def _supersede(group: Group, *, by: Ceremony) -> None:
    now = timezone.now()
    for share_set in ShareSet.objects.filter(group=group, active=True).select_related("group__vault"):
        ShareSet.objects.filter(pk=share_set.pk).update(active=False, superseded_at=now)
        announcements.set_superseded(share_set)
    # Of two sets from one base only one becomes final (R26): what has not, never will.
    stalled = Ceremony.objects.filter(request__target_group=group, state=CeremonyState.STALLED)
    stalled.exclude(pk=by.pk).update(state=CeremonyState.FAILED)


def _retired_group(request: TssRequest) -> uuid.UUID | None:
    """The Main group whose place the target takes (R26)."""
    retired = [uuid.UUID(each.group_id) for each in intent_of(request.intent).retires]
    return next((group_id for group_id in retired if group_id != request.target_group_id), None)


def _active_hash(group_id: uuid.UUID) -> str:
    rows = ShareSet.objects.filter(group=group_id, active=True)
    return rows.values_list("certificate_hash", flat=True).first() or ""


def _root_keys(certificate: Certificate) -> dict[str, str]:
    return {Curve(name.upper()): xpub for name, xpub in certificates.root_keys(certificate).items()}
