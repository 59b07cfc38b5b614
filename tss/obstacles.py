"""Why a request's intent cannot come true any more: asked before it starts and before its result counts."""

from tss.documents import intent_of, manifest_of
from tss.models import CeremonyState, RequestType, ShareSet, State, TssRequest
from tss.votes import tallies
from vaults.models import Group, GroupStatus, GroupType, Holder, HolderStatus, Node, RootKey, Vault
from wire.canonical import CanonicalError
from wire.electorate import SOURCE
from wire.fields import WireError
from wire.intent import Intent

# What the groups must be for each type: (source, target).
_SOURCES = {
    RequestType.KEY_GEN_FROM_KEY_GROUP: (GroupType.MAIN,),
    RequestType.RECOVERY: (GroupType.RECOVERY,),
    RequestType.ROLE_CHANGE: (GroupType.MAIN, GroupType.RECOVERY),
    RequestType.POLICY_CHANGE: (GroupType.MAIN,),
}


def obstacle(request: TssRequest) -> str:
    """Why the intent cannot come true any more, or "".

    Share sets and keys count until the result is published. Policy, roster and votes count until the ceremony
    runs: then the nodes have judged them themselves, and only a later share set can stand in its way.
    """
    try:
        intent = intent_of(request.intent)
        facts = _sets(request, intent) or _groups(request, intent)
        if facts or request.state == State.RUNNING:
            return facts
        words = _policy(request) or _roster(request, intent) or _votes(request)
        return "" if words and must_go_on(request) else words
    except (CanonicalError, WireError) as error:
        return f"its stored documents are damaged: {error}"


def must_go_on(request: TssRequest) -> bool:
    """Whether all members have prepared their shares and some may use them: nobody calls that off (R26)."""
    return request.ceremonies.filter(state=CeremonyState.STALLED).exists()


def _sets(request: TssRequest, intent: Intent) -> str:
    """Test 47: a share set that the intent names was superseded."""
    named = {str(request.target_group_id): ("target group", intent.target.certificate_hash.hex())}
    for retired in intent.retires:
        named.setdefault(retired.group_id, ("group to be retired", retired.certificate_hash.hex()))
    if intent.source is not None:
        named.setdefault(intent.source.group_id, ("source group", intent.source.certificate_hash.hex()))
    active = ShareSet.objects.filter(group__in=list(named), active=True)
    held = {str(group_id): hash for group_id, hash in active.values_list("group_id", "certificate_hash")}
    for group_id, (what, expected) in named.items():
        if held.get(group_id, "") != expected:
            return f"the {what} has another share set meanwhile"
    return ""


def _groups(request: TssRequest, intent: Intent) -> str:
    target = request.target_group
    if target.retired_at is not None:
        return "the target group was deleted or replaced meanwhile"
    if target.status == GroupStatus.NEW and not _same_seats(target.manifest, request.manifest):
        return "the target group has another roster meanwhile"
    if intent.type == RequestType.KEY_GEN and RootKey.objects.filter(vault=request.vault_id).exists():
        return "the vault has root keys meanwhile"
    if target.status == GroupStatus.NEW and target.type == GroupType.MAIN:
        mains = Group.objects.filter(
            vault=request.vault_id,
            type=GroupType.MAIN,
            status=GroupStatus.VALID,
            retired_at__isnull=True,
        )
        if mains.exclude(pk__in=[retired.group_id for retired in intent.retires]).exists():
            return "the vault has an active MainGroup meanwhile"
    if intent.type == RequestType.ROLE_CHANGE and target.type != GroupType.SIGNING:
        return f"the target group is a {target.type} meanwhile"
    return _source(request, intent)


def _same_seats(first: str, second: str) -> bool:
    """Whether two rosters differ in the versions of cards only."""
    seats = [(each.node_ids, each.threshold, each.role) for each in map(manifest_of, (first, second))]
    return seats[0] == seats[1]


def _source(request: TssRequest, intent: Intent) -> str:
    if request.source_group_id in (None, request.target_group_id):
        return ""
    source = Group.objects.get(pk=request.source_group_id)
    if source.retired_at is not None:
        return "the source group was deleted or replaced meanwhile"
    if source.type not in _SOURCES[RequestType(intent.type)]:
        return f"the source group is a {source.type} meanwhile"
    return ""


def _policy(request: TssRequest) -> str:
    # P12: what was approved is approved under the policy that the intent names, and no other.
    unchanged = Vault.objects.filter(pk=request.vault_id, policy=request.policy).exists()
    return "" if unchanged else "the vault's policy changed meanwhile"


def _roster(request: TssRequest, intent: Intent) -> str:
    """P13: holders that are being replaced must be exactly those that the intent replaces, and every holder's
    card is still the one that the roster lists (R7)."""
    if not intent.runs_ceremony:
        return ""
    roster = manifest_of(request.manifest)
    newest = dict(Node.objects.filter(pk__in=roster.node_ids).values_list("pk", "card_version"))
    for card in roster.holders:
        if newest[card.node_id] > card.version:
            return f"{card.node_id} has changed its card meanwhile: ask again"
    if request.target_group.status == GroupStatus.NEW:
        return ""
    changed = dict(
        Holder.objects.filter(group=request.target_group_id, status=HolderStatus.CHANGED).values_list(
            "node", "replacement"
        )
    )
    for replacement in intent.replaces:
        if changed.get(replacement.old) != replacement.new:
            return f"{replacement.old} is not being replaced by {replacement.new} any more"
    kept = set(changed) & set(roster.node_ids)
    return f"{min(kept)} is being replaced meanwhile" if kept else ""


def _votes(request: TssRequest) -> str:
    valid: set[str] | None = None
    for tally in tallies(request):
        able = tally.counting
        if tally.vote.side == SOURCE:
            if valid is None:
                rows = Holder.objects.filter(group=request.source_group_id, status=HolderStatus.VALID)
                valid = set(rows.values_list("node", flat=True))
            able = tuple(node_id for node_id in able if node_id in valid)
        if len(able) < tally.vote.needed:
            return (
                f"the vote of the {tally.vote.side} holders cannot be won any more: it needs "
                f"{tally.vote.needed} of {len(tally.vote.node_ids)}, and {len(able)} can still be counted"
            )
    return ""
