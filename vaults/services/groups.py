"""Key share holder groups: who would hold shares, and the manifest that says so."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from audit import services as audit
from vaults import counts, policies, selectors
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, missing
from vaults.models import Group, GroupStatus, GroupType, Holder, Node, NodeKind, Vault
from vaults.representation import holder_type
from vaults.services.vaults import check_scheme, hold_vault
from vaults.text import check_name
from webhooks import outbox
from wire.canonical import Json
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
    with transaction.atomic():
        hold_vault(vault)
        taken = taken_nodes(vault, type)
        members = _resolve(vault, holders, taken)
        if len(members) == participants - 1:
            members.append(_service_holder(vault, type, members, participants, taken))
        if len(members) != participants:
            raise invalid(
                "participants", f"is {participants}, but {len(members)} key_share_holders are named"
            )
        group_id = uuid.uuid4()
        # R1 is not checked here: nodes refuse too many service members, the service is no judge of that.
        manifest = Manifest(
            organisation_id=str(vault.organisation_id),
            vault_id=str(vault.id),
            group_id=str(group_id),
            role=_ROLE[GroupType(type)],
            epoch=1,
            threshold=threshold,
            holders=tuple(HolderCard.from_json(node.holder_card) for node, _ in members),
        )
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
        count_group(group)
        detail = {
            "type": group.type,
            "threshold": group.threshold,
            "participants": group.participants,
            "manifest_hash": group.manifest_hash,
        }
        announce(actor=actor, group=group, what="created", detail=detail)
    return group


def taken_nodes(vault: Vault, type: str) -> frozenset[str]:
    """Ids of the nodes that may not join a group of this type; none where the policy lets groups share."""
    if policies.current(vault).shared_nodes:
        return frozenset()
    holders = selectors.holders(vault=vault).filter(group__status=GroupStatus.VALID)
    if type == GroupType.MAIN:  # a new Main group takes the old one's place in a Recovery
        holders = holders.exclude(group__type=GroupType.MAIN)
    return frozenset(holders.values_list("node_id", flat=True))


def usable(node: Node, vault: Vault) -> bool:
    """Whether a group of the vault may name the node."""
    if node.kind == NodeKind.SERVICE:
        return vault.organisation.service_signer_enabled
    return node.organisation_id == vault.organisation_id


def count_group(group: Group, by: int = 1) -> None:
    """Add the group and its holders to the totals of their lists; by: -1 takes them out."""
    counts.count(selectors.groups_scope(group.vault_id), by)
    counts.count(selectors.groups_scope(group.vault_id, group.type), by)
    counts.count(selectors.holders_scope(group.vault_id), by * group.participants)


def announce(*, actor: Actor, group: Group, what: str, detail: Mapping[str, Json]) -> None:
    """Event and audit row of a change; call it last in its transaction (audit.services.record)."""
    organisation_id = str(group.vault.organisation_id)
    data = {"vault_id": str(group.vault_id), **detail}
    outbox.emit(
        organisation_id=organisation_id,
        type=f"quorate.group.{what}",
        data={"data_type": "KeyShareHolderGroup", "key_share_holder_group_id": str(group.id), **data},
    )
    audit.record(
        actor=actor.label,
        act=f"group.{what}",
        subject=f"group:{group.id}",
        detail=data,
        organisation_id=organisation_id,
    )


def _resolve(
    vault: Vault, holders: Sequence[HolderChoice], taken: Collection[str]
) -> list[tuple[Node, HolderChoice]]:
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
        if node is None or not usable(node, vault):
            raise invalid(f"{field}.tss_node_id", "no such node")
        if choice.tss_node_id in seen:
            first = seen[choice.tss_node_id]
            raise invalid(f"{field}.tss_node_id", f"is the same node as key_share_holders[{first}]")
        if choice.tss_node_id in taken:
            raise invalid(
                f"{field}.tss_node_id",
                "is in another group of the vault, and the vault's policy lets no node be in two",
            )
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


def _service_holder(
    vault: Vault,
    type: str,
    members: Sequence[tuple[Node, HolderChoice]],
    participants: int,
    taken: Collection[str],
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
        free = selectors.service_nodes(organisation=vault.organisation).exclude(pk__in=taken)
        if node := free.first():
            return node, HolderChoice(tss_node_id=node.tss_node_id, signer=True)
        why = "no service holder is free to join"
    raise ServiceError(ErrorCode.INVALID, f"{named} and {why}", "participants")
