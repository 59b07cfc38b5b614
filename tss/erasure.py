"""What is left of old shares after a success, as their holders have signed it (R26, R28)."""

from typing import Any

from tss.documents import intent_of, manifest_of
from tss.models import SetStatement, ShareSet, TssRequest
from vaults.representation import membership
from vaults.selectors import memberships_elsewhere
from wire.set_statement import ERASED


def erasures(request: TssRequest) -> list[dict[str, Any]]:
    """Of each set that the request retires: how many members say that they have erased their shares.

    The set is worthless once n - t + 1 have.
    """
    hashes = [retired.certificate_hash.hex() for retired in intent_of(request.intent).retires]
    sets = ShareSet.objects.filter(certificate_hash__in=hashes, superseded_at__isnull=False)
    return [_erasure(share_set) for share_set in sets.order_by("pk")]


def also_holds(request: TssRequest) -> list[dict[str, Any]]:
    """Other groups in which a replaced node holds shares: each has to be changed by itself (R28)."""
    return [
        {"tss_node_id": replacement.old, **membership(holder)}
        for replacement in intent_of(request.intent).replaces
        for holder in memberships_elsewhere(
            organisation=request.organisation, tss_node_id=replacement.old, group=request.target_group
        )
    ]


def _erasure(share_set: ShareSet) -> dict[str, Any]:
    manifest = manifest_of(share_set.manifest)
    statements = SetStatement.objects.filter(ceremony=share_set.ceremony_id, state=ERASED)
    erased = set(statements.values_list("node_id", flat=True))
    enough = manifest.participants - manifest.threshold + 1
    return {
        "key_share_holder_group_id": str(share_set.group_id),
        "epoch": share_set.epoch,
        "participants": manifest.participants,
        "erased": len(erased),
        "worthless_after": enough,
        "worthless": len(erased) >= enough,
        "not_erased": [node_id for node_id in manifest.node_ids if node_id not in erased],
    }
