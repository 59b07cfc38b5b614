"""How the votes of a request stand: counted from its documents and its decisions, never from a counter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tss.documents import cards_of, votes_of
from tss.models import Decision, SignedBy, TssRequest
from wire.approval import REJECT, WITHDRAW
from wire.canonical import CanonicalError
from wire.electorate import SOURCE, Vote
from wire.fields import WireError


@dataclass(frozen=True)
class Tally:
    """One vote and where it stands.

    counting: who can still be counted, so without the requester's own source vote (R14) and whoever rejected
    or withdrew; received: those of them who approved.
    """

    vote: Vote
    counting: tuple[str, ...]
    received: tuple[str, ...]

    @property
    def won(self) -> bool:
        return len(self.received) >= self.vote.needed


def decisions_of(request: TssRequest) -> dict[str, str]:
    """Node id -> the holder's decision. Reads `approvals`.

    An approval is there once it has every signature that the holder's card asks for; a rejection or
    withdrawal needs one only (R13).
    """
    given: dict[str, dict[str, str]] = {}
    for row in request.approvals.all():
        given.setdefault(row.node_id, {})[row.kind] = row.decision
    need_passkey = _need_passkey(request)
    decisions = {}
    for node_id, by_kind in given.items():
        stronger = [each for each in (REJECT, WITHDRAW) if each in by_kind.values()]
        kinds = {SignedBy.NODE, SignedBy.PASSKEY} if node_id in need_passkey else {SignedBy.NODE}
        if stronger:
            decisions[node_id] = stronger[0]
        elif kinds <= set(by_kind):
            decisions[node_id] = str(Decision.APPROVE)
    return decisions


def lacking_signatures(request: TssRequest) -> dict[str, str]:
    """Node id -> the kind (SignedBy) that a holder still owes whose other signature is an approval."""
    given: dict[str, set[str]] = {}
    for row in request.approvals.all():
        if row.decision == Decision.APPROVE:
            given.setdefault(row.node_id, set()).add(row.kind)
    need_passkey = _need_passkey(request)
    return {
        node_id: str(SignedBy.NODE if kinds == {SignedBy.PASSKEY} else SignedBy.PASSKEY)
        for node_id, kinds in given.items()
        if len(kinds) == 1 and (node_id in need_passkey or kinds == {SignedBy.PASSKEY})
    }


def tallies(request: TssRequest, decisions: Mapping[str, str] | None = None) -> tuple[Tally, ...]:
    """Each vote of the request; for a member's request this reads `voters`.

    decisions: by node id, read here where the caller has not. Raises CanonicalError or WireError for
    documents that somebody spoilt.
    """
    if decisions is None:
        decisions = decisions_of(request)
    refused = {node_id for node_id, decision in decisions.items() if decision != Decision.APPROVE}
    return tuple(_tally(vote, refused | _own(request, vote), decisions) for vote in votes_of(request))


def least_voters(votes: Collection[Vote]) -> int:
    """How many different holders it takes at least to win all votes, where one may count in two."""
    total = sum(vote.needed for vote in votes)
    if len(votes) < 2:
        return total
    first, second = votes
    both = len(set(first.node_ids) & set(second.node_ids))
    return total - min(both, first.needed, second.needed)


def _tally(vote: Vote, out: Collection[str], decisions: Collection[str]) -> Tally:
    counting = tuple(node_id for node_id in vote.node_ids if node_id not in out)
    return Tally(vote, counting, tuple(node_id for node_id in counting if node_id in decisions))


def _need_passkey(request: TssRequest) -> set[str]:
    try:
        return {node_id for node_id, card in cards_of(request).items() if card.needs_passkey}
    except (CanonicalError, WireError):
        return set()  # documents that somebody spoilt: no vote of this request counts anywhere


def _own(request: TssRequest, vote: Vote) -> set[str]:
    """The requester's own nodes among source holders (R14); a robot owns none."""
    if vote.side != SOURCE or request.requester_member_id is None:
        return set()
    return {voter.node_id for voter in request.voters.all() if voter.source and not voter.counts_as_source}
