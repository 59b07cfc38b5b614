"""The life of a request: one table of transitions and one function that performs them.

A transition is a compare-and-swap on (id, state, version). Its event row, outbox row, job row and audit row
are written in the same transaction, so exactly one of {last approval, reject, withdraw, cancel, expiry} wins
and the others leave no trace.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from audit import services as audit
from tss import jobs
from tss.errors import Stale
from tss.models import COMPATIBLE_TYPES, JobKind, RequestEvent, State, TssRequest
from tss.representation import compatible_status, represent
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, wrong_state
from webhooks import outbox
from wire.session import MAX_ATTEMPTS

__all__ = [
    "STOPPABLE",
    "TRANSITIONS",
    "audits_last",
    "compatible_status",
    "note",
    "opened",
    "settle",
    "transition",
]

T = TypeVar("T")

_BEFORE_RUNNING = frozenset({State.REJECTED, State.EXPIRED, State.CANCELLED, State.UNSATISFIABLE})

# docs/architecture.md draws it. A state without an entry is final.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.AWAITING_APPROVAL: _BEFORE_RUNNING | {State.APPROVED},
    # Back to AwaitingApproval: a holder withdrew its approval.
    State.APPROVED: _BEFORE_RUNNING | {State.RUNNING, State.AWAITING_APPROVAL},
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED}),
    # A retry is a new attempt with a new session id, or goes on with a ceremony that all have prepared; what
    # was missing of that one may also come late, and completes it without a retry (R26).
    State.FAILED: frozenset({State.APPROVED, State.SUCCEEDED}),
}
# Open and not running: what can still be called off.
STOPPABLE = (State.AWAITING_APPROVAL, State.APPROVED)

_ENDS = {State.SUCCEEDED: "succeeded"} | dict.fromkeys((State.FAILED, *_BEFORE_RUNNING), "failed")
_MAX_REASON = 500
# Of k decisions at once one wins each time, so the last needs k tries; no process runs more at once.
_MAX_TRIES = 64
_pending: ContextVar[list[Callable[[], object]] | None] = ContextVar("audit rows to write", default=None)


def transition(
    *,
    request: TssRequest,
    to: State,
    actor: Actor,
    reason: str = "",
    failed_node_ids: Sequence[str] = (),
    retryable: bool = False,
    same_attempt: bool = False,
    rows: Callable[[], None] | None = None,
) -> TssRequest:
    """Move `request` from the state and version in which the caller read it to `to`.

    retryable: of a failure, whether another attempt can help; same_attempt: of a retry, that it goes on with
    the ceremony that failed (R26); rows: writes what belongs to the transition, after the swap and before the
    audit row. Raises Stale when
    somebody else won, ServiceError 2029 when the table does not allow it; either way nothing was written.
    """
    current = State(request.state)
    if to not in TRANSITIONS.get(current, frozenset()):
        raise wrong_state(f"a request that is {current} cannot become {to}")
    attempt = request.attempt + (current is State.FAILED and to is State.APPROVED and not same_attempt)
    if attempt > MAX_ATTEMPTS:  # R20
        raise wrong_state(f"a request has at most {MAX_ATTEMPTS} attempts")
    with transaction.atomic():
        _swap(
            request,
            state=to,
            state_reason=reason[:_MAX_REASON],
            failed_node_ids=list(failed_node_ids),
            retryable=retryable,
            attempt=attempt,
        )
        detail = {"from": current, "reason": reason[:_MAX_REASON]}
        _event(request, kind="transition", actor=actor, detail=detail)
        _emit(request, _ENDS.get(to, "updated"))
        if to is State.APPROVED:
            jobs.ring(kind=JobKind.START_CEREMONY, reference=request.id)
        if rows is not None:
            rows()
        # After the rows, among which whoever works on the job may hold its lease.
        if current is State.APPROVED and to is not State.RUNNING:
            jobs.close(kind=JobKind.START_CEREMONY, reference=request.id)
        _audit(request, actor, to.lower(), {"version": request.version, "reason": reason})
    return request


@contextmanager
def audits_last() -> Iterator[None]:
    """Audit rows of transitions inside wait for the end of the outermost such block.

    Whoever waits for the audit chain may hold a request's row, so a transaction that changes several requests
    must have all their rows before it takes a place in the chain.
    """
    outer, mine = _pending.get(), list[Callable[[], object]]()
    token = _pending.set(mine)
    try:
        yield
    finally:
        _pending.reset(token)
    if outer is not None:
        outer.extend(mine)
        return
    for write in mine:
        write()


def opened(request: TssRequest, actor: Actor) -> None:
    """Record that the request was made; call inside the transaction that made it."""
    _event(request, kind="created", actor=actor, detail={})
    _emit(request, "created")
    _audit(request, actor, "created", {"type": request.type, "digest": request.digest})


def note(*, request: TssRequest, kind: str, actor: Actor, detail: dict[str, Any]) -> TssRequest:
    """Record something that leaves the state alone, by the same swap: concurrent decisions serialise here.

    Raises Stale when somebody else changed the request first.
    """
    with transaction.atomic():
        _swap(request)
        _event(request, kind=kind, actor=actor, detail=detail)
        _emit(request, "updated")
        _audit(request, actor, kind, {"version": request.version, **detail})
    return request


def settle(request_id: str, step: Callable[[TssRequest], T]) -> T:
    """Run `step` on the fresh request in one transaction, again and again while it is Stale.

    Raises TssRequest.DoesNotExist; ServiceError 2000 when the request never comes to rest.
    """
    for _ in range(_MAX_TRIES):
        try:
            with transaction.atomic(), audits_last():
                return step(TssRequest.objects.select_related("target_group").get(pk=request_id))
        except Stale:
            continue
    raise ServiceError(ErrorCode.INTERNAL, "the request changes too fast, try again")


def _swap(request: TssRequest, **changes: Any) -> None:
    changes |= {"version": request.version + 1, "updated_at": timezone.now()}
    won = TssRequest.objects.filter(pk=request.pk, state=request.state, version=request.version).update(
        **changes
    )
    if won != 1:
        raise Stale
    for name, value in changes.items():
        setattr(request, name, value)


def _event(request: TssRequest, *, kind: str, actor: Actor, detail: dict[str, Any]) -> None:
    RequestEvent.objects.create(
        request=request,
        version=request.version,
        kind=kind,
        state=request.state,
        actor=actor.label,
        detail=detail,
        time=request.updated_at,
    )


def _emit(request: TssRequest, what: str) -> None:
    # The vendor's consumers know its own three types only.
    family = "wallets.mpc" if request.type in COMPATIBLE_TYPES else "quorate"
    outbox.emit(
        organisation_id=str(request.organisation_id),
        type=f"{family}.tss_request.{what}",
        data={"data_type": "TSSRequest", **represent(request)},
        resource_version=request.version,
    )


def _audit(request: TssRequest, actor: Actor, what: str, detail: dict[str, Any]) -> None:
    write = partial(
        audit.record,
        actor=actor.label,
        act=f"tss_request.{what}",
        subject=f"tss_request:{request.id}",
        detail=detail,
        organisation_id=str(request.organisation_id),
    )
    pending = _pending.get()
    if pending is None:
        write()
    else:
        pending.append(write)
