"""The start of an approved request: a ceremony opens, goes on, or a decree takes effect."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from tss import attempts, calls, decrees, jobs, reconcile, rounds, services
from tss.documents import intent_of, session_context
from tss.errors import Stale
from tss.jobs import Lease
from tss.lifecycle import settle, transition
from tss.models import Ceremony, CeremonyState, JobKind, Participant, State, TssRequest
from tss.obstacles import obstacle
from vaults import services as vaults
from vaults.actors import Actor
from wire.session import MAX_ATTEMPTS

_DRIVER = Actor.system("driver")
# How long an approved request waits for another ceremony of its vault, or for a share set that the database
# lacks, before it looks again; the end of that ceremony rings it earlier.
_WAIT_S = 5


def start(request_id: str, lease: Lease) -> datetime | None:
    """Begin what an approved request is for and call its nodes; returns when to try again, or None."""
    return settle(request_id, lambda fresh: _start(fresh, lease))


def next_check(ceremony: Ceremony) -> datetime:
    """When to look after an open ceremony again, if nothing happens before."""
    timeout = timedelta(seconds=settings.QUORATE["ROUND_TIMEOUT_S"])
    return min(ceremony.deadline, ceremony.progress_at + timeout)


def _start(request: TssRequest, lease: Lease) -> datetime | None:
    # A decree of the vault comes before what is read here or after the start, never in between (P12).
    vaults.hold_vault(request.vault)
    request.refresh_from_db()
    if request.state != State.APPROVED:
        return None
    open_here = Q(vault=request.vault_id, state=CeremonyState.OPEN)
    ceremonies = list(Ceremony.objects.filter(Q(request=request) | open_here))
    busy = any(ceremony.state == CeremonyState.OPEN for ceremony in ceremonies)
    earlier = [ceremony for ceremony in ceremonies if ceremony.request_id == request.pk]
    stalled = next((each for each in earlier if each.state == CeremonyState.STALLED), None)
    if stalled is None:
        if services.expired(request):
            return None
        problem = obstacle(request)
        if problem:
            _unsatisfiable(request, problem, lease)
            return None
    if busy or reconcile.problem(request.vault_id):
        return timezone.now() + timedelta(seconds=_WAIT_S)
    if stalled is not None:
        _reopen(request, stalled, lease)
    elif intent_of(request.intent).runs_ceremony:
        _attempt(request, earlier, lease)
    else:
        _decree(request, lease)
    return None


def _attempt(request: TssRequest, earlier: Sequence[Ceremony], lease: Lease) -> None:
    dealers = attempts.dealers_for(request, attempts.blamed_in(earlier))
    # R20: attempts only rise, also where the one that was to go on was given up meanwhile.
    last = max((ceremony.attempt for ceremony in earlier), default=0)
    if dealers is None:
        _unsatisfiable(request, "too few source holders that approved are left to deal", lease)
    elif last >= MAX_ATTEMPTS:
        _unsatisfiable(request, f"it has had its {MAX_ATTEMPTS} attempts", lease)
    else:
        if last >= request.attempt:
            request.attempt = last + 1
            TssRequest.objects.filter(pk=request.pk).update(attempt=request.attempt)
        _open(request, dealers, lease)


def _open(request: TssRequest, dealers: tuple[str, ...], lease: Lease) -> None:
    context = session_context(request, request.attempt, dealers)
    now = timezone.now()
    ceremony = Ceremony(
        session_id=context.session_id().hex(),
        request=request,
        vault_id=request.vault_id,
        attempt=request.attempt,
        protocol=context.protocol,
        dealers=list(dealers),
        participants=context.size,
        rounds=rounds.ROUNDS[context.protocol],
        started_at=now,
        progress_at=now,
        deadline=_deadline(now),
    )
    names = dict(request.voters.values_list("node_id", "name"))

    def rows() -> None:
        try:
            with transaction.atomic():
                ceremony.save(force_insert=True)
        except IntegrityError:  # R24: another ceremony of this key opened first
            raise Stale from None
        Participant.objects.bulk_create(
            Participant(ceremony=ceremony, node_id=each.node_id, index=each.index, name=names[each.node_id])
            for each in context.participants
        )
        jobs.ring(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id, due_at=next_check(ceremony))
        lease.hold()

    calls.wake_holders(request)
    transition(request=request, to=State.RUNNING, actor=_DRIVER, rows=rows)


def _reopen(request: TssRequest, ceremony: Ceremony, lease: Lease) -> None:
    """R26: what all have prepared is completed and never replaced, however late it is."""
    now = timezone.now()

    def rows() -> None:
        stalled = Ceremony.objects.filter(pk=ceremony.pk, state=CeremonyState.STALLED)
        try:
            with transaction.atomic():
                reopened = stalled.update(
                    state=CeremonyState.OPEN,
                    reason="",
                    blamed_node_ids=[],
                    proven=False,
                    progress_at=now,
                    deadline=_deadline(now),
                    finished_at=None,
                )
        except IntegrityError:  # R24
            raise Stale from None
        if reopened != 1:
            raise Stale
        jobs.ring(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id)
        lease.hold()

    calls.wake_holders(request)
    transition(request=request, to=State.RUNNING, actor=_DRIVER, reason="goes on where it stopped", rows=rows)


def _decree(request: TssRequest, lease: Lease) -> None:
    def rows() -> None:
        decrees.apply(request)
        services.recheck(request.vault)
        lease.hold()

    calls.wake_holders(request)
    transition(request=request, to=State.RUNNING, actor=_DRIVER)
    transition(request=request, to=State.SUCCEEDED, actor=_DRIVER, rows=rows)


def _unsatisfiable(request: TssRequest, problem: str, lease: Lease) -> None:
    calls.wake_holders(request)
    transition(request=request, to=State.UNSATISFIABLE, actor=_DRIVER, reason=problem, rows=lease.hold)


def _deadline(now: datetime) -> datetime:
    # R15: a hard end, whatever progress is made.
    return now + timedelta(seconds=settings.QUORATE["CEREMONY_DEADLINE_S"])
