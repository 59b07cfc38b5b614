"""What a caller asks for, with the names that its API gives to the fields at fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaults.actors import Actor
from vaults.errors import invalid, missing, not_found
from vaults.models import Group, GroupStatus, GroupType, Vault
from vaults.selectors import parse_id
from vaults.services import HolderChoice
from wire.canonical import Json
from wire.policy import VaultPolicy


@dataclass(frozen=True)
class FieldNames:
    """How errors name what was given."""

    target: str
    source_object: str
    source: str
    source_nodes: str


COMPATIBLE = FieldNames(
    target="target_key_share_holder_group_id",
    source_object="source_key_share_holder_group",
    source="source_key_share_holder_group.key_share_holder_group_id",
    source_nodes="source_key_share_holder_group.tss_node_ids",
)
NATIVE = FieldNames(
    target="target_group_id",
    source_object="source_group_id",
    source="source_group_id",
    source_nodes="source_node_ids",
)


@dataclass(frozen=True)
class Wish:
    """A request as it is asked for.

    source_node_ids: None leaves the choice of source holders to us; holders, threshold: of a Reshare;
    new_policy: what a PolicyChange would change; original_main: of a RoleChange.
    """

    actor: Actor
    vault: Vault
    policy: VaultPolicy
    type: str
    target_group_id: str
    source_group_id: str
    source_node_ids: Sequence[str] | None
    accept_overlap: bool
    holders: Sequence[HolderChoice]
    threshold: int | None
    new_policy: Mapping[str, Json] | None
    original_main: str
    names: FieldNames

    def target(self) -> Group:
        """The group that it is for. Raises ServiceError 2003, 2006, 2028."""
        return self._group(self.target_group_id, self.names.target, "target")

    def source(self) -> Group:
        """The group whose holders deal and decide. Raises ServiceError 2003, 2006, 2028."""
        return self._group(self.source_group_id, self.names.source, "source")

    def active_main(self) -> Group | None:
        """The vault's Main group, once there is a key."""
        return Group.objects.filter(
            vault=self.vault, type=GroupType.MAIN, status=GroupStatus.VALID, retired_at__isnull=True
        ).first()

    def _group(self, group_id: str, field: str, what: str) -> Group:
        if not group_id:
            raise missing(field)
        key = parse_id(group_id)
        if key is None:
            raise invalid(field, "must be a UUID")
        group = Group.objects.filter(pk=key, vault=self.vault, retired_at__isnull=True).first()
        if group is None:
            raise not_found(f"{what} key share holder group")
        return group
