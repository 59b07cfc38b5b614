"""How much stands between a vault's key and its misuse (R29)."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import Count, Q

from tss.builders.wish import Wish
from tss.documents import manifest_of
from tss.models import ShareSet
from vaults.errors import ServiceError, invalid
from vaults.models import Node, NodeKind, Vault
from wire.manifest import Manifest
from wire.set_statement import ERASED

_SERVICE = "service"


def operators_needed(vault: Vault, manifest: Manifest) -> int:
    """How few operators could use the key once the new set is there: the least over all sets still of use.

    A set that was superseded or whose group was deleted is of use until n - t + 1 members have erased their
    shares (R28).
    """
    erased = Count("ceremony__statements", filter=Q(ceremony__statements__state=ERASED))
    sets = ShareSet.objects.filter(group__vault=vault).annotate(erased=erased)
    rosters = [
        roster
        for text, gone in sets.values_list("manifest", "erased")
        if (roster := manifest_of(text)).participants - gone >= roster.threshold
    ]
    rosters.append(manifest)
    operators = _operators({node_id for roster in rosters for node_id in roster.node_ids})
    return min(_fewest([operators[node_id] for node_id in r.node_ids], r.threshold) for r in rosters)


def check_overlap(manifest: Manifest, wish: Wish) -> None:
    """A Recovery group of nearly the Main group's members is lost with it, or robs it (R29).

    Raises ServiceError 2006 unless the caller accepts that.
    """
    main = wish.active_main()
    if main is None or wish.accept_overlap:
        return
    others = _others(manifest, manifest_of(main.manifest))
    if others <= 1:
        raise _overlapping(manifest, others, wish)


def check_can_decide(manifest: Manifest, wish: Wish) -> None:
    """A Main or Recovery group of fewer holders than the policy wants to approve could never decide (R12).

    Raises ServiceError 2006.
    """
    if wish.policy.required_approvals > manifest.participants:
        raise invalid(
            wish.names.target,
            f"the vault's policy asks for {wish.policy.required_approvals} approvals, and the group would "
            f"have {manifest.participants} holders: nothing could be approved by it",
        )


def _others(recovery: Manifest, main: Manifest) -> int:
    return len(set(recovery.node_ids) - set(main.node_ids))


def _overlapping(recovery: Manifest, others: int, wish: Wish) -> ServiceError:
    return invalid(
        wish.names.target,
        f"all but {others} of the {recovery.participants} Recovery holders are in the Main group too: what "
        "befalls the one befalls both. Choose other holders, or send accept_overlap: true",
    )


def _operators(node_ids: set[str]) -> dict[str, str]:
    """Who operates each node: its owner; all service signers count as one (R1); else the node by itself."""
    return {node_id: _operator(node) for node_id, node in Node.objects.in_bulk(node_ids).items()}


def _operator(node: Node) -> str:
    if node.kind == NodeKind.SERVICE:
        return _SERVICE
    return node.pk if node.owner_id is None else str(node.owner_id)


def _fewest(operators: Sequence[str], threshold: int) -> int:
    """How few of the operators, one entry a share, hold `threshold` shares together."""
    shares = 0
    for number, (_, held) in enumerate(Counter(operators).most_common(), start=1):
        shares += held
        if shares >= threshold:
            return number
    raise ValueError("fewer shares than the threshold")
