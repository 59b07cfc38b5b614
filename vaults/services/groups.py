"""Key share holder groups: who would hold shares, and the manifest that says so."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from audit import services as audit
from vaults import counts, selectors
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, missing
from vaults.models import Group, GroupType, Holder, Node, NodeKind, Vault
from vaults.representation import holder_type
from vaults.services.vaults import check_scheme
from vaults.text import check_name
from webhooks import services as webhooks
from wire.identity import HolderCard
from wire.manifest import Manifest

_ROLE = {GroupType.MAIN: "main", GroupType.SIGNING: "signing", GroupType.RECOVERY: "recovery"}
_HOLDER_TYPES = ("API", "Cobo", "Mobile")
_MAX_HOLDER_NAME = 100


@dataclass(frozen=True)
class HolderChoice:
    """A holder as the caller names it; type "" leaves it to the node's kind, name "" to the node's name."""

    tss_node_id: str
    name: str = ""
    type: str = ""
    signer: bool = False


def create_group(
    *,
    actor: Actor,
    vault: Vault,
    type: str,
    participants: int,
    threshold: int,
    holders: Sequence[HolderChoice],
) -> Group:
    """Make a group in status New and its manifest, the holders in the order given.

    Raises ServiceError 2003 or 2006 naming the field, as in key_share_holders[1].tss_node_id.
    """
    if type not in GroupType.values:
        raise invalid("key_share_holder_group_type", f"must be one of {', '.join(GroupType.values)}")
    check_scheme(participants, threshold)
    if not holders:
        raise missing("key_share_holders")
    if len(holders) > participants:
        raise invalid("participants", f"is {participants}, but {len(holders)} key_share_holders are named")
    members = _resolve(vault, holders)
    if len(members) == participants - 1:
        members.append(_service_holder(vault, type, members, participants))
    if len(members) != participants:
        raise invalid("participants", f"is {participants}, but {len(members)} key_share_holders are named")
    group_id = uuid.uuid4()
    # R1 is not checked here: nodes refuse too many service members, the service itself is no judge of that.
    manifest = Manifest(
        organisation_id=str(vault.organisation_id),
        vault_id=str(vault.id),
        group_id=str(group_id),
        role=_ROLE[GroupType(type)],
        epoch=1,
        threshold=threshold,
        holders=tuple(HolderCard.from_json(node.holder_card) for node, _ in members),
    )
    with transaction.atomic():
        group = Group.objects.create(
            id=group_id,
            vault=vault,
            type=type,
            participants=participants,
            threshold=threshold,
            epoch=manifest.epoch,
            manifest=manifest.encode().decode(),
            manifest_hash=manifest.hash().hex(),
        )
        Holder.objects.bulk_create(
            Holder(group=group, index=index, node=node, name=choice.name or node.name, signer=choice.signer)
            for index, (node, choice) in enumerate(members, start=1)
        )
        counts.count(selectors.groups_scope(vault.id))
        counts.count(selectors.groups_scope(vault.id, type))
        counts.count(selectors.holders_scope(vault.id), participants)
        _announce(actor, group)
    return group


def _resolve(vault: Vault, holders: Sequence[HolderChoice]) -> list[tuple[Node, HolderChoice]]:
    for position, choice in enumerate(holders):
        _check_choice(choice, f"key_share_holders[{position}]")
    ids = [choice.tss_node_id for choice in holders]
    # Ids are compared byte for byte: a variant in case, space or Unicode form is another, unknown id.
    nodes = Node.objects.in_bulk(ids)
    members: list[tuple[Node, HolderChoice]] = []
    seen: dict[str, int] = {}
    for position, choice in enumerate(holders):
        field = f"key_share_holders[{position}]"
        node = nodes.get(choice.tss_node_id)
        if node is None or not _usable(node, vault):
            raise invalid(f"{field}.tss_node_id", "no such node")
        if choice.tss_node_id in seen:
            first = seen[choice.tss_node_id]
            raise invalid(f"{field}.tss_node_id", f"is the same node as key_share_holders[{first}]")
        if choice.type and choice.type != holder_type(node):
            raise invalid(f"{field}.type", f"the node is of type {holder_type(node)}")
        seen[choice.tss_node_id] = position
        members.append((node, choice))
    return members


def _check_choice(choice: HolderChoice, field: str) -> None:
    if choice.type == "Mobile":
        raise invalid(f"{field}.type", "holders of type Mobile are not available; use a node of type API")
    if choice.type and choice.type not in _HOLDER_TYPES:
        raise invalid(f"{field}.type", "must be API or Cobo")
    if not choice.tss_node_id:
        raise missing(f"{field}.tss_node_id")
    if choice.name:
        check_name(choice.name, field=f"{field}.name", max_length=_MAX_HOLDER_NAME)


def _usable(node: Node, vault: Vault) -> bool:
    if node.kind == NodeKind.SERVICE:
        return vault.organisation.service_signer_enabled
    return node.organisation_id == vault.organisation_id


def _service_holder(
    vault: Vault, type: str, members: Sequence[tuple[Node, HolderChoice]], participants: int
) -> tuple[Node, HolderChoice]:
    # The service holder may be left out (docs/api.md).
    named = f"participants is {participants}, but {len(members)} key_share_holders are named"
    if type == GroupType.RECOVERY:
        why = "the service holder is not added to a RecoveryGroup"
    elif any(node.kind == NodeKind.SERVICE for node, _ in members):
        why = "a holder of type Cobo is among them already"
    elif not vault.organisation.service_signer_enabled:
        why = "the organisation does not use the service holder"
    else:
        node = selectors.service_nodes(organisation=vault.organisation).first()
        if node is not None:
            return node, HolderChoice(tss_node_id=node.tss_node_id, signer=True)
        why = "no service holder is enrolled"
    raise ServiceError(ErrorCode.INVALID, f"{named} and {why}", "participants")


def _announce(actor: Actor, group: Group) -> None:
    organisation_id = str(group.vault.organisation_id)
    detail = {
        "vault_id": str(group.vault_id),
        "type": group.type,
        "threshold": group.threshold,
        "participants": group.participants,
        "manifest_hash": group.manifest_hash,
    }
    webhooks.emit(
        organisation_id=organisation_id,
        type="quorate.group.created",
        data={"data_type": "KeyShareHolderGroup", "key_share_holder_group_id": str(group.id), **detail},
    )
    audit.record(
        actor=actor.label,
        act="group.created",
        subject=f"group:{group.id}",
        detail=detail,
        organisation_id=organisation_id,
    )
