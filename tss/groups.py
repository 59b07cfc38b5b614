"""Changes of groups and of a vault's first policy in which requests have a say.

vaults/ makes the change. Here stands which requests forbid it, and what becomes of those that it overtakes.
"""

from collections.abc import Mapping
from dataclasses import replace

from django.db import transaction
from django.db.models import Q, QuerySet

from tss.builders.wish import COMPATIBLE
from tss.models import OPEN_STATES, RequestType, State, TssRequest
from tss.services import create_request, recheck
from vaults import services as vaults
from vaults.actors import Actor
from vaults.errors import wrong_state
from vaults.models import Group, GroupType, Holder, Vault

# The caller names the group in the path, and nothing else.
_IN_PATH = replace(COMPATIBLE, target="key_share_holder_group_id")


def delete_group(*, actor: Actor, group: Group) -> Group:
    """Retire a group that no open request uses (R16). Raises ServiceError 2029."""
    with transaction.atomic():
        vaults.hold_vault(group.vault)
        using = _open(group.vault).filter(Q(target_group=group) | Q(source_group=group)).first()
        if using is not None:
            raise wrong_state(f"TSS request {using.id} is {using.state} and uses the group: cancel it first")
        return vaults.retire_group(actor=actor, group=group)


def upgrade_group(
    *, actor: Actor, group: Group, original_main: str, accept_overlap: bool = False
) -> TssRequest:
    """Ask for the group to become Main: the request that the holders of both groups approve (R16).

    original_main: wire.intent.RETIRED or CONVERTED. Raises ServiceError 2029 for any group but a SigningGroup
    that has shares; else as create_request.
    """
    if group.type != GroupType.SIGNING:
        raise wrong_state(f"the group is a {group.type}: only a SigningGroup can be promoted")
    return create_request(
        actor=actor,
        vault=group.vault,
        type=RequestType.ROLE_CHANGE,
        target_group_id=str(group.id),
        original_main=original_main,
        accept_overlap=accept_overlap,
        names=_IN_PATH,
    )


def replace_holder(*, actor: Actor, holder: Holder, new_tss_node_id: str) -> Holder:
    """Name the node that shall take a holder's place; open requests that no longer fit end at once.

    Raises ServiceError as vaults.services.replace_holder.
    """
    return vaults.replace_holder(
        actor=actor,
        holder=holder,
        new_tss_node_id=new_tss_node_id,
        rows=lambda: recheck(holder.group.vault),
    )


def set_first_policy(*, actor: Actor, vault: Vault, changes: Mapping[str, object]) -> Vault:
    """Change the policy of a vault that has no key and no KeyGen under way (R12).

    Raises ServiceError 2006 naming the field, 2029.
    """
    with transaction.atomic():
        vaults.hold_vault(vault)
        # A failed KeyGen may come back: its intent names the policy, and its members may hold shares.
        may_return = Q(state__in=OPEN_STATES) | Q(state=State.FAILED, retryable=True)
        under_way = TssRequest.objects.filter(may_return, vault=vault).first()
        if under_way is not None:
            raise wrong_state(
                f"TSS request {under_way.id} is {under_way.state} and names the policy as it is: cancel it "
                "first, or make a PolicyChange request once the vault has a key"
            )
        return vaults.set_first_policy(actor=actor, vault=vault, changes=changes)


def _open(vault: Vault) -> "QuerySet[TssRequest]":
    return TssRequest.objects.filter(vault=vault, state__in=OPEN_STATES)
