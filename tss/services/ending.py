"""Ending a request before it runs, and beginning a failed one again."""

import logging

from django.db import IntegrityError, transaction
from django.utils import timezone

from tss import calls
from tss.errors import Stale
from tss.lifecycle import STOPPABLE, audits_last, settle, transition
from tss.models import State, TssRequest
from tss.obstacles import must_go_on, obstacle
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, wrong_state
from vaults.models import Vault

logger = logging.getLogger(__name__)

_MAX_TRIES = 64
_RECHECK = Actor.system("recheck")


def cancel_request(*, actor: Actor, request: TssRequest) -> TssRequest:
    """Cancel a request that does not run yet. Raises ServiceError 2029 once it runs or has ended."""

    def step(fresh: TssRequest) -> TssRequest:
        if fresh.state not in STOPPABLE:
            raise wrong_state(f"a request that is {fresh.state} cannot be cancelled")
        if must_go_on(fresh):
            raise wrong_state("all holders have prepared their new shares: the request can only be completed")
        calls.wake_holders(fresh)
        reason = f"cancelled by {actor.label}"
        return transition(request=fresh, to=State.CANCELLED, actor=actor, reason=reason)

    return settle(request.id, step)


def retry_request(*, actor: Actor, request: TssRequest) -> TssRequest:
    """Begin a failed request again, under the approvals that it has (R20, R21, R26).

    Raises ServiceError 2029 where that cannot help: it did not fail, its failure is final, its attempts are
    used up, its time is over, its intent no longer holds, or its group has another open request.
    """

    def step(fresh: TssRequest) -> TssRequest:
        if fresh.state != State.FAILED:
            raise wrong_state(f"a request that is {fresh.state} cannot be retried")
        if not fresh.retryable:
            raise wrong_state(f"a retry cannot help: {fresh.state_reason}")
        goes_on = must_go_on(fresh)
        if not goes_on and timezone.now() >= fresh.expires_at:
            raise wrong_state("the request has expired: make a new one")
        if reason := obstacle(fresh):
            raise wrong_state(f"{reason}: make a new request")
        calls.wake_holders(fresh)
        return transition(
            request=fresh,
            to=State.APPROVED,
            actor=actor,
            reason=f"retried by {actor.label}",
            same_attempt=goes_on,
        )

    try:
        return settle(request.id, step)
    except IntegrityError:
        raise wrong_state("the group has another open request meanwhile") from None


def expire(request_id: str) -> None:
    """Expire a request whose time is over and which does not run yet; no effect on any other."""

    settle(request_id, expired)


def expired(fresh: TssRequest) -> bool:
    """Expire a request that `settle` has just read, in its transaction; whether its time was over."""
    if fresh.state not in STOPPABLE or timezone.now() < fresh.expires_at or must_go_on(fresh):
        return False
    missing_votes = "" if fresh.state == State.APPROVED else " before enough holders had approved"
    calls.wake_holders(fresh)
    transition(
        request=fresh, to=State.EXPIRED, actor=Actor.system("expiry"), reason=f"expired{missing_votes}"
    )
    return True


def expire_overdue(limit: int = 200) -> None:
    """Expire the requests whose time is over."""
    overdue = TssRequest.objects.filter(state__in=STOPPABLE, expires_at__lte=timezone.now())
    for request_id in list(overdue.order_by("expires_at").values_list("pk", flat=True)[:limit]):
        try:
            expire(request_id)
        except Exception:  # one request that cannot expire must not stop the sweeper
            logger.exception("request %s could not be expired", request_id)


def recheck(vault: Vault) -> None:
    """Make every request of the vault that has not started and no longer holds Unsatisfiable (P12, P13).

    Belongs last in the transaction of what changed the vault, before its audit row.
    """
    waiting = TssRequest.objects.filter(vault=vault, state__in=STOPPABLE)
    for _ in range(_MAX_TRIES):
        try:
            with transaction.atomic(), audits_last():
                for request in waiting.select_related("target_group").order_by("pk"):
                    if reason := obstacle(request):
                        calls.wake_holders(request)
                        transition(request=request, to=State.UNSATISFIABLE, actor=_RECHECK, reason=reason)
        except Stale:
            continue
        return
    raise ServiceError(ErrorCode.INTERNAL, "the requests of the vault change too fast, try again")
