"""Reads behind the pages; everything is seen through a viewer."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, Min, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from audit import services as audit
from audit.models import AuditCheckpoint, AuditRow
from dashboard.fingerprints import node_words
from dashboard.sentences import sentence_of
from dashboard.viewers import Viewer
from tss.models import (
    Approval,
    Ceremony,
    CeremonyState,
    Decision,
    LaterSet,
    ShareSet,
    SignedBy,
    State,
    TssRequest,
    Voter,
)
from tss.representation import readable_tallies
from tss.votes import Tally, decisions_of
from vaults.models import Group, GroupStatus, GroupType, Holder, Node, NodeKind, Vault
from vaults.representation import online
from vaults.selectors import parse_id
from webhooks.models import WebhookEndpoint
from wire.canonical import CanonicalError
from wire.fields import WireError

INBOX_PAGE = 25
_MANY = 100


@dataclass(frozen=True)
class Waiting:
    """A request that waits. mine: the viewer's own nodes whose vote is open; sentence: "" where its documents
    are damaged."""

    request: TssRequest
    sentence: str
    tallies: tuple[Tally, ...]
    mine: tuple[Voter, ...]


def open_votes() -> "QuerySet[Voter]":
    """Voters who are asked, so without the requester's own among source holders (R14), and did not decide.

    A holder whose card asks for a passkey's signature beside its node's has decided with both (R7).
    """
    signed = Approval.objects.filter(request=OuterRef("request"), node=OuterRef("node"))
    by_node, by_passkey = (signed.filter(kind=kind) for kind in (SignedBy.NODE, SignedBy.PASSKEY))
    node_alone = Q(node__holder_card__card__method="node")
    decided = Exists(by_node) & (node_alone | Exists(by_passkey))
    refused = Exists(signed.exclude(decision=Decision.APPROVE))
    return Voter.objects.filter(Q(target=True) | Q(counts_as_source=True)).exclude(refused | decided)


def inbox(viewer: Viewer, *, page: int = 1, size: int = INBOX_PAGE) -> tuple[list[Waiting], bool]:
    """A page of the requests that wait for this viewer, those with the least time left first; and whether
    there are more."""
    start = (page - 1) * size
    rows = list(_waiting(viewer).order_by("expires_at", "id")[start : start + size + 1])
    return [_of_viewer(viewer, row) for row in rows[:size]], len(rows) > size


def number_waiting(viewer: Viewer) -> int:
    """How many wait for this viewer, counted up to a hundred."""
    return _waiting(viewer).prefetch_related(None).values("pk")[:_MANY].count()


def _waiting(viewer: Viewer) -> "QuerySet[TssRequest]":
    mine = open_votes().filter(request=OuterRef("pk"), node__owner__user=viewer.user)
    rows = TssRequest.objects.filter(state=State.AWAITING_APPROVAL)
    if not viewer.everything:
        rows = rows.filter(organisation__in=viewer.organisations).filter(
            Q(organisation__in=viewer.administers) | Exists(mine)
        )
    voters = Voter.objects.select_related("node__owner").order_by("pk")
    return rows.select_related("vault", "target_group").prefetch_related(
        Prefetch("voters", voters), "approvals"
    )


def _of_viewer(viewer: Viewer, request: TssRequest) -> Waiting:
    try:
        sentence = sentence_of(request)
    except (CanonicalError, WireError):
        sentence = ""
    return Waiting(request, sentence, readable_tallies(request), own_open_votes(viewer, request))


def own_open_votes(viewer: Viewer, request: TssRequest) -> tuple[Voter, ...]:
    """The viewer's own nodes that are asked and have not decided; reads `voters` with owners, `approvals`."""
    decided = decisions_of(request)
    return tuple(
        voter
        for voter in request.voters.all()
        if (voter.target or voter.counts_as_source)
        and voter.node_id not in decided
        and viewer.owns(voter.node)
    )


def find_request(viewer: Viewer, request_id: str) -> TssRequest | None:
    """A request that the viewer may see."""
    voters = Voter.objects.select_related("node__owner").order_by("pk")
    rows = TssRequest.objects.select_related("vault", "target_group", "organisation", "requester_member")
    rows = rows.prefetch_related(Prefetch("voters", voters), "approvals")
    return viewer.rows(rows, "organisation").filter(pk=request_id).first()


def find_vault(viewer: Viewer, vault_id: str) -> Vault | None:
    """A vault that the viewer may see."""
    key = parse_id(vault_id)
    rows = Vault.objects.select_related("organisation").prefetch_related("root_keys")
    return None if key is None else viewer.rows(rows, "organisation").filter(pk=key).first()


def groups_of(vault: Vault) -> list[Group]:
    """The vault's groups that are in use or to come, Main first, with holders and their nodes."""
    order = {GroupType.MAIN: 0, GroupType.SIGNING: 1, GroupType.RECOVERY: 2}
    holders = Holder.objects.select_related("node", "replacement").order_by("index")
    rows = Group.objects.filter(vault=vault, retired_at=None).prefetch_related(Prefetch("holders", holders))
    return sorted(rows, key=lambda group: (order[GroupType(group.type)], group.created_at, str(group.pk)))


def newest_requests(viewer: Viewer, *, vault: Vault | None = None, limit: int = 10) -> list[TssRequest]:
    """The newest requests, of one vault or of all."""
    rows = viewer.rows(TssRequest.objects.select_related("vault"), "organisation")
    if vault is not None:
        return list(rows.filter(vault=vault).order_by("-created_at", "-id")[:limit])
    return list(_newest_first(viewer, rows)[:limit])


def _newest_first(viewer: Viewer, rows: "QuerySet[TssRequest]") -> "QuerySet[TssRequest]":
    # Each in the order of an index: over all organisations that of the ids, which begin with the time.
    return rows.order_by("-id") if viewer.everything else rows.order_by("-created_at", "-id")


def under_way(viewer: Viewer, limit: int = 10) -> list[Ceremony]:
    """Ceremonies that run, the newest first."""
    rows = viewer.rows(Ceremony.objects.filter(state=CeremonyState.OPEN), "request__organisation")
    return list(rows.select_related("request__vault").order_by("-started_at")[:limit])


def failed_lately(viewer: Viewer, limit: int = 5) -> list[TssRequest]:
    """Requests of the last week that failed, the newest first."""
    rows = viewer.rows(TssRequest.objects.filter(state=State.FAILED), "organisation")
    since = timezone.now() - timedelta(days=7)
    rows = rows.filter(created_at__gt=since, id__gte=since.strftime("%Y%m%d%H%M%S"))
    return list(_newest_first(viewer, rows.select_related("vault"))[:limit])


@dataclass(frozen=True)
class VaultLine:
    """A vault in the list. can_sign: enough holders of its Main or a Signing group are online; recoverable: a
    Recovery group has enough holders that are not being replaced."""

    vault: Vault
    has_key: bool
    can_sign: bool
    recoverable: bool


def vault_lines(viewer: Viewer, limit: int = _MANY) -> list[VaultLine]:
    """The newest vaults."""
    rows = viewer.rows(Vault.objects.all(), "organisation").order_by("-created_at", "-id")[:limit]
    vaults = list(rows)
    ids = [vault.pk for vault in vaults]
    keyed = set(_in_use().filter(vault__in=ids).values_list("vault", flat=True))
    signing = set(able_to_sign().filter(vault__in=ids).values_list("vault", flat=True))
    recovery = set(able_to_recover().filter(vault__in=ids).values_list("vault", flat=True))
    return [VaultLine(each, each.pk in keyed, each.pk in signing, each.pk in recovery) for each in vaults]


def _in_use() -> "QuerySet[Group]":
    return Group.objects.filter(status=GroupStatus.VALID, retired_at=None)


def able_to_sign() -> "QuerySet[Group]":
    """Main and Signing groups of whose holders enough are online now."""
    since = timezone.now() - timedelta(seconds=settings.QUORATE["NODE_ONLINE_S"])
    present = Count("holders", filter=Q(holders__node__last_seen_at__gte=since, holders__status="Valid"))
    rows = _in_use().filter(type__in=(GroupType.MAIN, GroupType.SIGNING))
    return rows.annotate(present=present).filter(present__gte=F("threshold"))


def able_to_recover() -> "QuerySet[Group]":
    """Recovery groups that enough holders are left of."""
    left = Count("holders", filter=Q(holders__status="Valid"))
    return _in_use().filter(type=GroupType.RECOVERY).annotate(left=left).filter(left__gte=F("threshold"))


@dataclass(frozen=True)
class Health:
    """The first row of the start page. oldest_shares: when the oldest share set in use was made; audit_head:
    sequence and hash of the log's last row; checkpoint: the newest signed one; endpoints: of webhooks, and
    how many of them fail or were disabled for it."""

    vaults: int
    can_sign: int
    recoverable: int
    oldest_shares: datetime | None
    waiting: int
    nodes: int
    nodes_online: int
    audit_head: tuple[int, str]
    checkpoint: AuditCheckpoint | None
    endpoints: int
    endpoints_failing: int


def health(viewer: Viewer) -> Health:
    """How the viewer's vaults are."""

    def vaults(groups: "QuerySet[Group]") -> int:
        return viewer.rows(groups, "vault__organisation").values("vault").distinct().count()

    since = timezone.now() - timedelta(seconds=settings.QUORATE["NODE_ONLINE_S"])
    sets = viewer.rows(ShareSet.objects.filter(active=True), "group__vault__organisation")
    nodes = viewer.rows(Node.objects.all(), "organisation").aggregate(
        all=Count("pk"), online=Count("pk", filter=Q(last_seen_at__gte=since))
    )
    endpoints = viewer.rows(WebhookEndpoint.objects.all(), "organisation_id").aggregate(
        all=Count("pk"), failing=Count("pk", filter=Q(failing_since__isnull=False) | ~Q(disabled_reason=""))
    )
    return Health(
        vaults=vaults(_in_use()),
        can_sign=vaults(able_to_sign()),
        recoverable=vaults(able_to_recover()),
        oldest_shares=sets.aggregate(oldest=Min("created_at"))["oldest"],
        waiting=number_waiting(viewer),
        nodes=nodes["all"],
        nodes_online=nodes["online"],
        audit_head=audit.head(),
        checkpoint=AuditCheckpoint.objects.order_by("-sequence").first(),
        endpoints=endpoints["all"],
        endpoints_failing=endpoints["failing"],
    )


@dataclass(frozen=True)
class NodeLine:
    """A node in the list. groups: in how many groups in use it holds shares; reports_later_sets: of how many
    it says that they have a later share set than this site knows; being_replaced: in how many it is."""

    node: Node
    groups: int
    reports_later_sets: int
    being_replaced: int

    @property
    def online(self) -> bool:
        return online(self.node)

    @property
    def words(self) -> str:
        return node_words(self.node.tss_node_id)


def node_lines(viewer: Viewer, limit: int = 500) -> list[NodeLine]:
    """The organisations' nodes and the service's own signers, those that were seen last first."""
    rows = Node.objects.all()
    if not viewer.everything:
        rows = rows.filter(Q(organisation__in=viewer.organisations) | Q(kind=NodeKind.SERVICE))
    rows = rows.select_related("owner", "organisation").order_by(
        F("last_seen_at").desc(nulls_last=True), "name"
    )
    nodes = list(rows[:limit])
    held = _in_use_by(viewer, [node.pk for node in nodes])
    return [_node_line(node, held) for node in nodes]


def _in_use_by(viewer: Viewer, node_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    holders = viewer.rows(Holder.objects.all(), "group__vault__organisation")
    rows = holders.filter(node__in=node_ids, group__retired_at=None, group__status=GroupStatus.VALID)
    later = LaterSet.objects.filter(group=OuterRef("group"), node=OuterRef("node"))
    held: dict[str, list[dict[str, Any]]] = {node_id: [] for node_id in node_ids}
    for row in rows.annotate(later=Exists(later)).values("node", "later", "status"):
        held[row["node"]].append({**row})
    return held


def _node_line(node: Node, held: dict[str, list[dict[str, Any]]]) -> NodeLine:
    rows = held[node.pk]
    return NodeLine(
        node,
        groups=len(rows),
        reports_later_sets=sum(row["later"] for row in rows),
        being_replaced=sum(row["status"] == "Changed" for row in rows),
    )


def audit_rows(request: TssRequest) -> "QuerySet[AuditRow]":
    """What the audit log says of a request, in the order of the chain."""
    rows = AuditRow.objects.filter(
        organisation_id=str(request.organisation_id), subject=f"tss_request:{request.id}"
    )
    return rows.order_by("sequence")


def share_set_times(groups: Iterable[Group]) -> dict[uuid.UUID, datetime]:
    """When the share set that each group uses was made."""
    sets = ShareSet.objects.filter(group__in=list(groups), active=True)
    return dict(sets.values_list("group_id", "created_at"))
