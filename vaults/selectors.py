"""Reads of projects, vaults, groups and holders.

Everything is seen through an organisation: another tenant's object does not exist, and finding that out costs
the same query as finding nothing.
"""

import uuid
from typing import TypeVar

from django.db.models import Model, Prefetch, Q, QuerySet, Sum

from vaults import counts
from vaults.errors import not_found
from vaults.models import Group, GroupStatus, Holder, Node, NodeKind, Organisation, Project, Vault

M = TypeVar("M", bound=Model)


def parse_id(text: str) -> uuid.UUID | None:
    """A UUID in the one form in which ids are given out, else None."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None


def _by_id(rows: QuerySet[M], text: str) -> M | None:
    key = parse_id(text)
    return None if key is None else rows.filter(pk=key).first()


def projects(*, organisation: Organisation) -> "QuerySet[Project]":
    return Project.objects.filter(organisation=organisation)


def get_project(*, organisation: Organisation, project_id: str) -> Project:
    """Raises ServiceError 2028."""
    project = _by_id(projects(organisation=organisation), project_id)
    if project is None:
        raise not_found("project")
    return project


def vaults(
    *, organisation: Organisation, type: str | None = None, project: Project | None = None
) -> "QuerySet[Vault]":
    rows = Vault.objects.filter(organisation=organisation).prefetch_related("root_keys")
    if type is not None:
        rows = rows.filter(type=type)
    return rows if project is None else rows.filter(project=project)


def get_vault(*, organisation: Organisation, vault_id: str) -> Vault:
    """Raises ServiceError 2028."""
    vault = _by_id(vaults(organisation=organisation), vault_id)
    if vault is None:
        raise not_found("vault")
    return vault


def groups(*, vault: Vault, type: str | None = None) -> "QuerySet[Group]":
    """Groups that are neither deleted nor superseded."""
    rows = _groups(vault).filter(retired_at=None)
    return rows if type is None else rows.filter(type=type)


def get_group(*, vault: Vault, group_id: str) -> Group:
    """A group that was not deleted; an old Main group whose place another took is found, status Unavailable.

    Raises ServiceError 2028.
    """
    group = _by_id(known_groups(vault), group_id)
    if group is None:
        raise not_found("key share holder group")
    return group


def known_groups(vault: Vault) -> "QuerySet[Group]":
    """The groups that can be asked for by id."""
    return _groups(vault).filter(Q(retired_at=None) | Q(status=GroupStatus.UNAVAILABLE))


def _groups(vault: Vault) -> "QuerySet[Group]":
    return Group.objects.filter(vault=vault).prefetch_related(
        Prefetch("holders", Holder.objects.select_related("node")), "key_share_groups"
    )


def get_member(*, group: Group, tss_node_id: str) -> Holder:
    """A holder of the group. Raises ServiceError 2028."""
    holder = Holder.objects.filter(group=group, node=tss_node_id).first()
    if holder is None:
        raise not_found("key share holder")
    return holder


def holders(*, vault: Vault, groups: list[Group] | None = None) -> "QuerySet[Holder]":
    """Members of the vault's groups, or of those given, in the order in which they were named."""
    rows = Holder.objects.filter(group__vault=vault, group__retired_at=None).select_related("node")
    return rows if groups is None else rows.filter(group__in=groups)


def memberships_elsewhere(*, organisation: Organisation, tss_node_id: str, group: Group) -> list[Holder]:
    """In which groups but this one the node has shares (R28); deleting a group erased none."""
    rows = Holder.objects.filter(node=tss_node_id, group__vault__organisation=organisation)
    elsewhere = rows.exclude(group=group).exclude(group__status=GroupStatus.NEW)
    return list(elsewhere.select_related("group__vault").order_by("id"))


def get_holder(*, vault: Vault, tss_node_id: str) -> Holder:
    """A node's membership in the vault: one that is to be given away, else the newest.

    Raises ServiceError 2028.
    """
    rows = holders(vault=vault).filter(node=tss_node_id)
    holder = rows.order_by("status", "-id").first()  # Changed comes before Valid
    if holder is None:
        raise not_found("key share holder")
    return holder


def service_nodes(*, organisation: Organisation) -> "QuerySet[Node]":
    """The service's own signers that the organisation may name, oldest first."""
    rows = Node.objects.filter(kind=NodeKind.SERVICE).order_by("enrolled_at", "tss_node_id")
    return rows if organisation.service_signer_enabled else rows.none()


# Counter scopes (vaults.counts): one for every list that shows a total.


def projects_scope(organisation_id: uuid.UUID) -> str:
    return f"projects:{organisation_id}"


def vaults_scope(organisation_id: uuid.UUID, type: str, project_id: uuid.UUID | None = None) -> str:
    return f"vaults:{organisation_id}:{type}" + (f":{project_id}" if project_id else "")


def groups_scope(vault_id: uuid.UUID, type: str | None = None) -> str:
    return f"groups:{vault_id}" + (f":{type}" if type else "")


def holders_scope(vault_id: uuid.UUID) -> str:
    return f"holders:{vault_id}"


def number_of_holders(*, vault: Vault, groups: list[Group] | None = None) -> int:
    """How many holders `holders` gives; a request names few groups, so these are added up."""
    if groups is None:
        return counts.total(holders_scope(vault.id))
    ids = [group.id for group in groups]
    listed = Group.objects.filter(pk__in=ids, retired_at=None)
    return listed.aggregate(total=Sum("participants"))["total"] or 0
