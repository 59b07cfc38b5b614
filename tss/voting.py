"""What a verified decision of a holder does to its request, whoever signed it: node or passkey."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from tss import announcements, calls
from tss.documents import intent_of
from tss.errors import ItemRefused, Stale
from tss.lifecycle import STOPPABLE, note, transition
from tss.models import Approval, Decision, SignedBy, State, TssRequest, Voter
from tss.obstacles import must_go_on, obstacle
from tss.representation import milliseconds
from tss.votes import tallies
from vaults.actors import Actor
from wire.node_request import MAX_SKEW_MS

# What proves a passkey's vote. Another proof of the same vote is no second vote (P18).
_PROOF = {"authenticator_data", "client_data", "signature"}


@dataclass(frozen=True)
class Ballot:
    """A decision whose signature is verified. kind: SignedBy; time: Unix milliseconds; signed: wire form."""

    actor: Actor
    kind: str
    decision: str
    time: int
    reason: str
    signed: dict[str, Any]

    def says_the_same_as(self, signed: dict[str, Any]) -> bool:
        if self.kind == SignedBy.NODE:
            return signed == self.signed
        names = self.signed.keys() - _PROOF
        return all(signed[name] == self.signed[name] for name in names)


def cast(request: TssRequest, voter: Voter, ballot: Ballot) -> None:
    """Count a ballot: one step of `settle`. The same ballot again changes nothing.

    Raises ItemRefused: already_decided, closed, bad_time, own_request.
    """
    earlier = Approval.objects.filter(request=request, node=voter.node, kind=ballot.kind).first()
    if earlier is not None and ballot.says_the_same_as(earlier.signed):
        return
    withdrawn = ballot.decision == Decision.WITHDRAW
    # R13: a rejection or withdrawal binds for ever, an approval until it is withdrawn.
    if earlier is not None and not (withdrawn and earlier.decision == Decision.APPROVE):
        raise ItemRefused("already_decided", f"this holder's decision was {earlier.decision}")
    _check_open(request, ballot.decision)
    _check_time(request, ballot.time)
    if ballot.decision == Decision.APPROVE and not voter.target and not voter.counts_as_source:
        raise ItemRefused("own_request", "the requester's own approval does not count here (R14)")
    _store(request, voter, ballot, earlier)
    if ballot.kind == SignedBy.PASSKEY:
        calls.wake_holders(request)  # the holder's node may follow its passkey
    match ballot.decision:
        case Decision.APPROVE:
            _approve(request, voter, ballot)
        case Decision.REJECT:
            calls.wake_holders(request)
            transition(
                request=request,
                to=State.REJECTED,
                actor=ballot.actor,
                reason=_sentence(voter, "rejected", ballot.reason),
            )
        case _:
            _withdraw(request, voter, ballot)


def _approve(request: TssRequest, voter: Voter, ballot: Ballot) -> None:
    # Counting may miss an approval that commits at this moment; then the swap below fails and the whole step
    # is done again, so of two decisions at once the later one always counts both.
    if request.state == State.AWAITING_APPROVAL and all(tally.won for tally in tallies(request)):
        transition(request=request, to=State.APPROVED, actor=ballot.actor)
    else:
        _note(request, "approved", voter, ballot)


def _withdraw(request: TssRequest, voter: Voter, ballot: Ballot) -> None:
    """P15: before the start it takes effect at once."""
    actor, reason = ballot.actor, _sentence(voter, "withdrew", ballot.reason)
    calls.wake_holders(request)
    if lost := obstacle(request):
        transition(request=request, to=State.UNSATISFIABLE, actor=actor, reason=f"{reason}; {lost}")
    elif request.state == State.APPROVED and not all(tally.won for tally in tallies(request)):
        transition(request=request, to=State.AWAITING_APPROVAL, actor=actor, reason=reason)
    else:
        _note(request, "withdrawn", voter, ballot)


def _note(request: TssRequest, kind: str, voter: Voter, ballot: Ballot) -> None:
    detail = {"node": voter.node_id}
    if ballot.decision == Decision.WITHDRAW:
        detail["reason"] = ballot.reason
    if ballot.kind == SignedBy.PASSKEY:
        detail["passkey"] = ballot.signed["credential_id"]
    note(request=request, kind=kind, actor=ballot.actor, detail=detail)


def _check_open(request: TssRequest, decision: str) -> None:
    """P15: once a ceremony began nobody is called back. Another source holder's approval is still welcome: it
    may stand in for a dealer in the next attempt (R21)."""
    retried = request.state == State.RUNNING or (request.state == State.FAILED and request.retryable)
    welcome = request.state in STOPPABLE or (retried and decision == Decision.APPROVE)
    if not welcome:
        raise ItemRefused("closed", f"the request is {request.state}")
    if timezone.now() >= request.expires_at:
        raise ItemRefused("closed", "the request has expired")
    if decision != Decision.APPROVE and must_go_on(request):
        raise ItemRefused("closed", "all holders have prepared their new shares")


def _store(request: TssRequest, voter: Voter, ballot: Ballot, earlier: Approval | None) -> None:
    row = earlier or Approval(request=request, node=voter.node, kind=ballot.kind)
    row.decision, row.reason, row.signed = ballot.decision, ballot.reason, ballot.signed
    row.received_at = timezone.now()
    try:
        row.save()
    except IntegrityError:  # the same holder, at the same moment
        raise Stale from None
    announcements.decided(request, row)


def _check_time(request: TssRequest, time: int) -> None:
    skew = timedelta(milliseconds=MAX_SKEW_MS)
    intent = intent_of(request.intent)
    if not intent.not_before - MAX_SKEW_MS <= time <= milliseconds(timezone.now() + skew):
        raise ItemRefused("bad_time", "the decision's time is outside the request's life or in the future")


def _sentence(voter: Voter, did: str, words: str) -> str:
    return f"{voter.name} {did}" + (f": {words}" if words else "")
