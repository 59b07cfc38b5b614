"""Who deals in the next attempt, and whether there should be one (R20, R21).

Blame only steers this: first whoever was proved guilty is left out, then whoever did not come through while
enough others remain. The holders of the target group can never be left out, for they are what the request is
about.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.utils import timezone

from tss.documents import intent_of, manifest_of
from tss.models import Ceremony, Decision, TssRequest
from tss.obstacles import obstacle
from tss.votes import decisions_of
from wire.session import MAX_ATTEMPTS, choose_dealers

# Further attempts wait for people, who may know what ails the nodes.
MAX_AUTOMATIC_ATTEMPTS = 3


@dataclass(frozen=True)
class Blamed:
    """Node ids. guilty: what they signed proves it; unreliable: silent, or blamed by others' words."""

    guilty: frozenset[str] = frozenset()
    unreliable: frozenset[str] = frozenset()

    def and_(self, node_ids: Collection[str], *, proven: bool) -> "Blamed":
        guilty = self.guilty | set(node_ids) if proven else self.guilty
        return Blamed(guilty, (self.unreliable | set(node_ids)) - guilty)


@dataclass(frozen=True)
class Outlook:
    """Of a failed attempt. retryable: another can help; automatic: it is safe without asking anybody."""

    retryable: bool
    automatic: bool = False


def blamed_in(ceremonies: Collection[Ceremony]) -> Blamed:
    """Whom the attempts so far have blamed."""
    blamed = Blamed()
    for ceremony in ceremonies:
        blamed = blamed.and_(ceremony.blamed_node_ids, proven=ceremony.proven)
    return blamed


def dealers_for(request: TssRequest, blamed: Blamed) -> tuple[str, ...] | None:
    """Node ids of the dealers, () for KeyGen; None when fewer than t approved and are not proved guilty."""
    intent = intent_of(request.intent)
    if intent.source is None:
        return ()
    decided = decisions_of(request)
    willing = {each for each, decision in decided.items() if decision == Decision.APPROVE} - blamed.guilty
    reliable = willing - blamed.unreliable
    missing = intent.source.threshold - len(choose_dealers(intent, reliable))
    if missing > 0:
        second = [node_id for node_id in intent.eligible if node_id in willing - reliable]
        reliable |= set(second[:missing])
    dealers = choose_dealers(intent, reliable)
    return dealers if len(dealers) == intent.source.threshold else None


def outlook(
    request: TssRequest,
    blamed: Blamed,
    failed: Collection[str],
    *,
    proven: bool,
    stalled: bool,
    only_dealing: bool,
) -> Outlook:
    """What can follow the failure of the request's current attempt.

    blamed: in all attempts; failed, proven: in this one; stalled: a retry goes on with the same ceremony;
    only_dealing: who failed cannot deal and says so, but would receive.
    Raises CanonicalError or WireError for documents that somebody spoilt.
    """
    if obstacle(request):
        return Outlook(retryable=False)
    if stalled:
        # Not where a slot holds a message that will never do. Expiry no longer matters: it has begun.
        return Outlook(retryable=not proven)
    targets = set(manifest_of(request.manifest).node_ids)
    dealers = dealers_for(request, blamed)
    over = request.attempt >= MAX_ATTEMPTS or timezone.now() >= request.expires_at
    if over or blamed.guilty & targets or dealers is None:
        return Outlook(retryable=False)
    needed = set(dealers) if only_dealing else targets.union(dealers)
    all_replaced = bool(failed) and not set(failed) & needed
    return Outlook(retryable=True, automatic=all_replaced and request.attempt < MAX_AUTOMATIC_ATTEMPTS)
