"""Ceremonies from outside: start one, watch it, end it. The protocol itself runs on the nodes only.

The coordinator checks what everybody can check: the certificate against the request, and the public
transcript for whom to blame.
"""

import logging
import secrets
import string
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from mpc.certificate import Certificate
from tss import blame, calls, certificates, jobs, rounds, services
from tss.documents import context_of, holder_names, node_ids
from tss.errors import LeaseLost, Stale
from tss.jobs import Lease
from tss.lifecycle import settle, transition
from tss.models import Ceremony, CeremonyState, JobKind, ShareSet, State, TssRequest
from vaults.actors import Actor
from vaults.models import Curve, Group, GroupStatus, GroupType, KeyShareGroup, RootKey

logger = logging.getLogger(__name__)

_DRIVER = Actor.system("driver")
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHARE_GROUP_ID_LENGTH = 20
# How long an approved request waits for another ceremony of its vault before it looks again; the end of that
# ceremony rings it earlier.
_WAIT_FOR_VAULT_S = 5
# How often a worker takes an overdue ceremony that it cannot handle before it gives up.
_MAX_ATTEMPTS = 5


def start(request_id: str, lease: Lease) -> datetime | None:
    """Open the ceremony of an approved request and call its nodes; returns when to try again, or None."""
    return settle(request_id, lambda fresh: _start(fresh, lease))


def drive(session_id: str, lease: Lease) -> datetime | None:
    """Look at an open ceremony: finish it with its certificate, fail it when it is overdue, or wait."""
    ceremony = Ceremony.objects.select_related("request__target_group").get(pk=session_id)
    if ceremony.state != CeremonyState.OPEN:
        return None
    try:
        return _drive(ceremony, lease)
    except LeaseLost:
        raise
    except Exception:
        # Rows that somebody spoilt, or a fault of ours: it is tried again, but no request hangs for ever.
        if timezone.now() < ceremony.deadline or lease.job.attempts < _MAX_ATTEMPTS:
            raise
        logger.exception("ceremony %s cannot be driven", session_id)
        reason = "internal error of the coordinator; its log has it"
        fail(ceremony, actor=_DRIVER, reason=reason, blamed=[], lease=lease, despite_certificate=True)
        return None


def _drive(ceremony: Ceremony, lease: Lease) -> datetime | None:
    share_set = ShareSet.objects.filter(ceremony=ceremony).first()
    if share_set is not None:
        _finish(ceremony, bytes(share_set.certificate), lease)
        return None
    # A web process may have died between storing a message and drawing its consequences.
    rounds.advance(ceremony)
    verdict = blame.left(ceremony)
    now = timezone.now()
    due = _next_check(ceremony)
    if verdict is None and now < due:
        return due
    if verdict is None and ceremony.round >= ceremony.rounds and certificates.assemble(ceremony):
        return now
    if verdict is None:
        verdict = blame.proven(ceremony) or _overdue(ceremony, now)
    fail(ceremony, actor=_DRIVER, reason=verdict.reason, blamed=verdict.blamed, lease=lease)
    return None


def fail(
    ceremony: Ceremony,
    *,
    actor: Actor,
    reason: str,
    blamed: Sequence[int],
    lease: Lease | None = None,
    despite_certificate: bool = False,
) -> bool:
    """End a ceremony and its request; whether this call did it, since the first reason stands.

    reason: a sentence for people; blamed: indices of the participants at fault, if any can be named. R25:
    once the final certificate is here the members have the key, so only what examines it may still fail it.
    """
    blamed_ids = node_ids(ceremony, list(blamed))

    def certified() -> bool:
        return not despite_certificate and ShareSet.objects.filter(ceremony=ceremony).exists()

    def rows() -> None:
        _end(ceremony, CeremonyState.FAILED, reason, blamed_ids, lease)
        if certified():  # it came while this waited for the ceremony's row
            raise Stale

    def step(fresh: TssRequest) -> bool:
        if fresh.state != State.RUNNING or not _is_open(ceremony) or certified():
            return False
        calls.wake_holders(fresh)
        transition(
            request=fresh,
            to=State.FAILED,
            actor=actor,
            reason=reason,
            failed_node_ids=blamed_ids,
            rows=rows,
        )
        return True

    return settle(ceremony.request_id, step)


def _start(request: TssRequest, lease: Lease) -> datetime | None:
    if request.state != State.APPROVED or services.expired(request):
        return None
    obstacle = _obstacle(request)
    if obstacle:
        calls.wake_holders(request)
        transition(request=request, to=State.UNSATISFIABLE, actor=_DRIVER, reason=obstacle, rows=lease.hold)
        return None
    now = timezone.now()
    if Ceremony.objects.filter(vault=request.vault_id, state=CeremonyState.OPEN).exists():
        return now + timedelta(seconds=_WAIT_FOR_VAULT_S)
    context = context_of(request, request.attempt)
    ceremony = Ceremony(
        session_id=context.session_id().hex(),
        request=request,
        vault_id=request.vault_id,
        attempt=request.attempt,
        protocol=context.protocol,
        participants=context.size,
        rounds=rounds.ROUNDS[context.protocol],
        started_at=now,
        progress_at=now,
        # R15: a hard end, whatever progress is made.
        deadline=now + timedelta(seconds=settings.QUORATE["CEREMONY_DEADLINE_S"]),
    )

    def rows() -> None:
        try:
            ceremony.save(force_insert=True)
        except IntegrityError:  # R24: another ceremony of this key opened first
            raise Stale from None
        jobs.ring(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id, due_at=_next_check(ceremony))
        lease.hold()

    calls.wake_holders(request)
    transition(request=request, to=State.RUNNING, actor=_DRIVER, rows=rows)
    return None


def _finish(ceremony: Ceremony, encoded: bytes, lease: Lease) -> None:
    # R25: checked again when it is used, since what it grants is final.
    certificate, problem = certificates.examine(ceremony, encoded)
    if certificate is None:
        fail(
            ceremony,
            actor=_DRIVER,
            reason=f"the certificate is not valid: {problem}",
            blamed=[],
            lease=lease,
            despite_certificate=True,
        )
        return

    def step(fresh: TssRequest) -> str:
        if fresh.state != State.RUNNING or not _is_open(ceremony):
            return ""
        obstacle = _obstacle(fresh)
        if not obstacle:
            calls.wake_holders(fresh)
            transition(
                request=fresh,
                to=State.SUCCEEDED,
                actor=_DRIVER,
                rows=lambda: _publish(ceremony, fresh.target_group, certificate, lease),
            )
        return obstacle

    obstacle = settle(ceremony.request_id, step)
    if obstacle:
        fail(ceremony, actor=_DRIVER, reason=obstacle, blamed=[], lease=lease, despite_certificate=True)


def _publish(ceremony: Ceremony, group: Group, certificate: Certificate, lease: Lease) -> None:
    _end(ceremony, CeremonyState.SUCCEEDED, "", [], lease)
    for name, xpub in certificates.root_keys(certificate).items():
        curve = Curve(name.upper())
        RootKey.objects.create(vault_id=ceremony.vault_id, curve=curve, root_extended_public_key=xpub)
        KeyShareGroup.objects.create(
            id="".join(secrets.choice(_BASE62) for _ in range(_SHARE_GROUP_ID_LENGTH)),
            group=group,
            curve=curve,
            root_extended_public_key=xpub,
        )
    if Group.objects.filter(pk=group.pk, status=GroupStatus.NEW).update(status=GroupStatus.VALID) != 1:
        raise Stale


def _end(
    ceremony: Ceremony, state: CeremonyState, reason: str, blamed_ids: list[str], lease: Lease | None
) -> None:
    ended = Ceremony.objects.filter(pk=ceremony.pk, state=CeremonyState.OPEN).update(
        state=state, reason=reason[:500], blamed_node_ids=blamed_ids, finished_at=timezone.now()
    )
    if ended != 1:
        raise Stale
    waiting = TssRequest.objects.filter(vault=ceremony.vault_id, state=State.APPROVED)
    for request_id in waiting.values_list("pk", flat=True):
        jobs.ring(kind=JobKind.START_CEREMONY, reference=request_id)
    if lease is None:
        jobs.close(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id)
    else:
        lease.hold()


def _obstacle(request: TssRequest) -> str:
    """Why the request's intent cannot come true any more, or ""."""
    group = request.target_group
    if group.status != GroupStatus.NEW:
        return f"the target group is {group.status} meanwhile"
    if RootKey.objects.filter(vault=request.vault_id).exists():
        return "the vault has root keys meanwhile"
    if Group.objects.filter(vault=request.vault_id, type=GroupType.MAIN, status=GroupStatus.VALID).exists():
        return "the vault has an active MainGroup meanwhile"
    return ""


def _is_open(ceremony: Ceremony) -> bool:
    return Ceremony.objects.filter(pk=ceremony.pk, state=CeremonyState.OPEN).exists()


def _next_check(ceremony: Ceremony) -> datetime:
    timeout = timedelta(seconds=settings.QUORATE["ROUND_TIMEOUT_S"])
    return min(ceremony.deadline, ceremony.progress_at + timeout)


def _overdue(ceremony: Ceremony, now: datetime) -> blame.Verdict:
    what = "reached its deadline" if now >= ceremony.deadline else "timed out"
    silent = rounds.silent(ceremony)
    if not silent:
        return blame.Verdict(f"{what} waiting for the certificate", [])
    names = holder_names(ceremony.request)
    waiting_for = ", ".join(names[index] for index in silent)
    reason = f"{what} in round {ceremony.round + 1} of {ceremony.rounds} waiting for {waiting_for}"
    return blame.Verdict(reason, silent)
