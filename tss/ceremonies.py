"""Ceremonies from outside: watch one, end it, fail it. The protocol itself runs on the nodes only.

The coordinator checks what everybody can check: the certificate against the request, and the public
transcript for whom to blame.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from leasing.leases import LeaseLost
from mpc.certificate import Certificate
from mpc.dealing_messages import ROUND_PREPARED
from mpc.errors import MPCError
from tss import attempts, blame, calls, certificates, jobs, publish, rounds
from tss.attempts import Outlook
from tss.documents import names_of, node_ids
from tss.errors import Stale
from tss.jobs import Lease
from tss.lifecycle import note, settle, transition
from tss.models import Ceremony, CeremonyState, JobKind, ShareSet, State, TssRequest
from tss.opening import next_check
from vaults import services as vaults
from vaults.actors import Actor
from wire.canonical import CanonicalError
from wire.fields import WireError

logger = logging.getLogger(__name__)

_DRIVER = Actor.system("driver")
# How often a worker takes an overdue ceremony that it cannot handle before it gives up.
_MAX_TRIES = 5
# In which states a request can be when its certificate comes: all but the first where the last message of a
# ceremony that had stalled came late (R26). A Failed one may not become open on its way, for its group may
# have another open request by then.
_COMPLETED_FROM = (State.RUNNING, State.FAILED, State.APPROVED)


def drive(session_id: str, lease: Lease) -> datetime | None:
    """Look at a ceremony: finish it with its certificate, fail it when it is overdue, or wait."""
    ceremony = Ceremony.objects.select_related("request__target_group").get(pk=session_id)
    if ceremony.state not in rounds.LISTENING:
        return None
    try:
        return _drive(ceremony, lease)
    except LeaseLost:
        raise
    except Exception:
        # Rows that somebody spoilt, or a fault of ours: it is tried again, but no request hangs for ever.
        if timezone.now() < ceremony.deadline or lease.job.attempts < _MAX_TRIES:
            raise
        logger.exception("ceremony %s cannot be driven", session_id)
        reason = "internal error of the coordinator; its log has it"
        fail(ceremony, actor=_DRIVER, reason=reason, blamed=[], lease=lease, final=True)
        return None


def _drive(ceremony: Ceremony, lease: Lease) -> datetime | None:
    share_set = ShareSet.objects.filter(ceremony=ceremony).first()
    if share_set is not None:
        _finish(ceremony, bytes(share_set.certificate), lease)
        return None
    # A web process may have died between storing a message and drawing its consequences.
    rounds.advance(ceremony)
    complete = ceremony.round >= ceremony.rounds
    if ceremony.state == CeremonyState.STALLED:
        return timezone.now() if complete and certificates.assemble(ceremony) else None
    # Past the point of no return leaving is only silence: the deadline ends the wait.
    verdict = blame.left(ceremony) if ceremony.round <= ROUND_PREPARED else None
    now = timezone.now()
    due = next_check(ceremony)
    if verdict is None and now < due:
        return due
    if verdict is None and complete and certificates.assemble(ceremony):
        return now
    verdict = verdict or blame.proven(ceremony)
    if verdict is None and now < ceremony.deadline and blame.all_prepared(ceremony):
        return ceremony.deadline
    verdict = verdict or _overdue(ceremony, now)
    fail(
        ceremony,
        actor=_DRIVER,
        reason=verdict.reason,
        blamed=verdict.blamed,
        proven=verdict.proven,
        lease=lease,
    )
    return None


def fail(
    ceremony: Ceremony,
    *,
    actor: Actor,
    reason: str,
    blamed: Sequence[int],
    proven: bool = False,
    only_dealing: bool = False,
    lease: Lease | None = None,
    final: bool = False,
) -> bool:
    """End a ceremony and its request; whether this call did it, since the first reason stands.

    reason: a sentence for people; blamed: indices of the participants at fault, if any can be named; proven:
    what they signed proves it; only_dealing: they cannot deal, but would receive; final: whatever the members
    hold, nothing can come of it here. R25: once the
    final certificate is here the members have the key, so only what examines it may still fail it. R26: once
    all shares are prepared the ceremony stalls, and what is missing can still complete it.
    """
    ids = node_ids(ceremony, blamed)

    def step(fresh: TssRequest) -> bool:
        ceremony.refresh_from_db(fields=["state", "round"])
        if fresh.state != State.RUNNING or ceremony.state != CeremonyState.OPEN:
            return False
        if not final and _certified(ceremony):
            return False
        stalled = not final and _may_be_activated(ceremony)
        words = f"all shares are prepared; {reason}" if stalled else reason
        after = Outlook(False)
        if not final:
            after = _outlook(fresh, ceremony, ids, proven=proven, stalled=stalled, only_dealing=only_dealing)

        def rows() -> None:
            _end(
                ceremony,
                lease,
                state=CeremonyState.STALLED if stalled else CeremonyState.FAILED,
                reason=words[:500],
                blamed_node_ids=ids,
                proven=proven,
            )
            if not final and _certified(ceremony):  # it came while this waited for the ceremony's row
                raise Stale

        calls.wake_participants(ceremony)
        transition(
            request=fresh,
            to=State.FAILED,
            actor=actor,
            reason=words,
            failed_node_ids=ids,
            retryable=after.retryable,
            rows=rows,
        )
        if after.automatic:
            names = ", ".join(names_of(ceremony)[index] for index in sorted(blamed))
            again = f"another attempt without {names}"
            transition(request=fresh, to=State.APPROVED, actor=Actor.system("retry"), reason=again)
        return True

    return settle(ceremony.request_id, step)


def give_up(ceremony: Ceremony, *, actor: Actor, reason: str, blamed: Sequence[int]) -> None:
    """What a participant will never activate cannot be completed: another attempt may follow (R26)."""
    fail(ceremony, actor=actor, reason=reason, blamed=blamed)
    ids = node_ids(ceremony, blamed)

    def step(fresh: TssRequest) -> None:
        # Not once all messages are in, among them one of whoever says that it gave up: then members may have
        # the certificate.
        stalled = Ceremony.objects.filter(
            pk=ceremony.pk, state=CeremonyState.STALLED, round__lt=ceremony.rounds
        )
        if not stalled.exists():
            return
        detail = {"session_id": ceremony.session_id, "reason": reason}
        note(request=fresh, kind="abandoned", actor=actor, detail=detail)
        if stalled.update(state=CeremonyState.FAILED, reason=reason[:500], blamed_node_ids=ids) != 1:
            raise Stale
        after = _outlook(fresh, ceremony, ids, proven=False, stalled=False, only_dealing=False)
        TssRequest.objects.filter(pk=fresh.pk).update(retryable=after.retryable)

    settle(ceremony.request_id, step)


def _finish(ceremony: Ceremony, encoded: bytes, lease: Lease) -> None:
    # R25: checked again when it is used, since what it grants is final.
    certificate, problem = certificates.examine(ceremony, encoded)
    if certificate is not None:
        problem = settle(ceremony.request_id, lambda fresh: _succeed(ceremony, fresh, certificate, lease))
    else:
        problem = f"the certificate is not valid: {problem}"
    if problem and not fail(ceremony, actor=_DRIVER, reason=problem, blamed=[], lease=lease, final=True):
        stalled = Ceremony.objects.filter(pk=ceremony.pk, state=CeremonyState.STALLED)
        stalled.update(state=CeremonyState.FAILED, reason=problem[:500])


def _succeed(ceremony: Ceremony, fresh: TssRequest, certificate: Certificate, lease: Lease) -> str:
    """Publish the certificate with the transitions that it brings; or why that cannot be."""
    vaults.hold_vault(fresh.vault)
    ceremony.refresh_from_db(fields=["state", "round"])
    if ceremony.state not in rounds.LISTENING:
        return ""
    problem = publish.conflict(fresh, certificate)
    if problem:
        return problem

    def rows() -> None:
        _end(ceremony, lease, state=CeremonyState.SUCCEEDED, reason="", blamed_node_ids=[], proven=False)
        publish.publish(ceremony, fresh, certificate)

    calls.wake_holders(fresh)
    if fresh.state not in _COMPLETED_FROM:
        # Called off while it waited to be retried; its holders have completed it all the same.
        note(request=fresh, kind="completed_late", actor=_DRIVER, detail={"session_id": ceremony.session_id})
        rows()
        return ""
    late = "" if fresh.state == State.RUNNING else "what was missing has come"
    if fresh.state == State.APPROVED:
        transition(request=fresh, to=State.RUNNING, actor=_DRIVER, reason=late)
    transition(request=fresh, to=State.SUCCEEDED, actor=_DRIVER, reason=late, rows=rows)
    return ""


def _end(ceremony: Ceremony, lease: Lease | None, **changes: object) -> None:
    # The round too: a message that completes one may come at this moment, and decides whether this stalls.
    unchanged = Ceremony.objects.filter(pk=ceremony.pk, state=ceremony.state, round=ceremony.round)
    if unchanged.update(finished_at=timezone.now(), **changes) != 1:
        raise Stale
    waiting = TssRequest.objects.filter(vault=ceremony.vault_id, state=State.APPROVED)
    for request_id in waiting.exclude(pk=ceremony.request_id).values_list("pk", flat=True):
        jobs.ring(kind=JobKind.START_CEREMONY, reference=request_id)
    if lease is None:
        jobs.close(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id)
    else:
        lease.hold()


def _outlook(
    request: TssRequest, ceremony: Ceremony, ids: Sequence[str], *, proven: bool, **facts: bool
) -> Outlook:
    earlier = attempts.blamed_in(request.ceremonies.exclude(pk=ceremony.pk))
    blamed = earlier.and_(ids, proven=proven)
    try:
        return attempts.outlook(request, blamed, ids, proven=proven, **facts)
    except (CanonicalError, WireError):
        return Outlook(False)


def _may_be_activated(ceremony: Ceremony) -> bool:
    try:
        return blame.all_prepared(ceremony)
    except (CanonicalError, WireError, MPCError, ShareSet.DoesNotExist):
        # Rows that somebody spoilt prove nothing, so no other attempt takes the place of this one.
        return ceremony.round > ROUND_PREPARED


def _certified(ceremony: Ceremony) -> bool:
    return ShareSet.objects.filter(ceremony=ceremony).exists()


def _overdue(ceremony: Ceremony, now: datetime) -> blame.Verdict:
    what = "reached its deadline" if now >= ceremony.deadline else "timed out"
    silent = rounds.silent(ceremony)
    if not silent:
        return blame.Verdict(f"{what} waiting for the certificate", [])
    names = names_of(ceremony)
    waiting_for = ", ".join(names[index] for index in silent)
    if ceremony.round > ROUND_PREPARED:
        return blame.Verdict(f"waiting for {waiting_for} to activate", silent)
    reason = f"{what} in round {ceremony.round + 1} of {ceremony.rounds} waiting for {waiting_for}"
    return blame.Verdict(reason, silent)
