"""Why a request is where it is: in words for people, with codes for programs."""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils import timezone

from tss import attempts, reconcile, rounds
from tss.documents import intent_of, names_of
from tss.dossier import names_by_node
from tss.erasure import also_holds, erasures
from tss.models import Ceremony, CeremonyState, Evidence, Refusal, SignedBy, State, TssRequest
from tss.obstacles import must_go_on, obstacle
from tss.representation import milliseconds, readable_tallies
from tss.votes import lacking_signatures
from vaults.models import Node
from vaults.representation import online
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.session import MAX_ATTEMPTS

Reason = dict[str, Any]
_NEW_REQUEST = "Make a new request if it is still wanted."


def explain(request: TssRequest) -> dict[str, Any]:
    """{state, summary (one sentence), waiting_for: [{code, message, node_ids}], next (what to do), ...}."""
    try:
        intent_of(request.intent)
        summary, waiting_for, advice = _BY_STATE.get(State(request.state), _ended)(request)
        damaged = False
    except (CanonicalError, WireError) as error:
        damaged = True
        summary, waiting_for, advice = f"Its stored documents are damaged: {error}.", [], _NEW_REQUEST
    return {
        "tss_request_id": request.id,
        "type": request.type,
        "state": request.state,
        "state_reason": request.state_reason,
        "summary": summary,
        "waiting_for": waiting_for,
        "next": advice,
        "attempt": request.attempt,
        "expires_timestamp": milliseconds(request.expires_at),
        "retry": None if damaged or request.state != State.FAILED else _retry(request),
        "erasure": [] if damaged else erasures(request),
        "also_holds": [] if damaged else also_holds(request),
        "evidence": Evidence.objects.filter(ceremony__request=request).count(),
    }


_Answer = tuple[str, list[Reason], str]
# A holder's vote of which one signature is there.
_LACKING = {
    SignedBy.PASSKEY: "the node has approved, the passkey has not yet",
    SignedBy.NODE: "the passkey has approved, the node has not yet",
}


def _awaiting(request: TssRequest) -> _Answer:
    names = names_by_node(request)
    waiting: list[Reason] = []
    if problem := obstacle(request):
        waiting.append(_reason("obstacle", problem))
    missing: dict[str, None] = {}
    for tally in readable_tallies(request):
        open_ids = [node_id for node_id in tally.counting if node_id not in tally.received]
        if not tally.won:
            missing |= dict.fromkeys(open_ids)
            needed = tally.vote.needed - len(tally.received)
            words = (
                f"{needed} more {tally.vote.side} holder(s) must approve, of {_named(open_ids, names)} "
                f"({len(tally.received)} of {tally.vote.needed} have)"
            )
            waiting.append(_reason("approval_missing", words, open_ids, side=tally.vote.side))
    waiting += _nodes(request, list(missing), names)
    time = request.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    if timezone.now() >= request.expires_at:
        return f"Its time ended at {time}; the sweeper is about to expire it.", waiting, _NEW_REQUEST
    summary = f"It waits for the approval of {_named(missing, names)}, until {time} at the latest."
    lacking = lacking_signatures(request)
    for kind, words in _LACKING.items():
        node_ids = [node_id for node_id in missing if lacking.get(node_id) == kind]
        if node_ids:
            waiting.append(_reason("signature_missing", f"{_named(node_ids, names)}: {words}", node_ids))
    return summary, waiting, "Approve on the holders' nodes: signer requests, then signer approve."


def _approved(request: TssRequest) -> _Answer:
    waiting: list[Reason] = []
    if problem := obstacle(request):
        waiting.append(_reason("obstacle", problem))
    running = Ceremony.objects.filter(vault=request.vault_id, state=CeremonyState.OPEN).first()
    if running is not None:
        words = f"request {running.request_id} of the vault is running, and ceremonies of one key take turns"
        waiting.append(_reason("vault_busy", words, request_id=running.request_id))
    if problem := reconcile.problem(request.vault_id):
        waiting.append(_reason("database_behind", problem, reconcile.witnesses(request.vault_id)))
    waiting += _nodes(request, [voter.node_id for voter in request.voters.all()], names_by_node(request))
    if not waiting:
        waiting.append(_reason("queued", "a worker is about to open the ceremony"))
    advice = "Nothing, if nodes and workers are up; it starts by itself."
    return f"It is approved and waits to start: {waiting[0]['message']}.", waiting, advice


def _running(request: TssRequest) -> _Answer:
    ceremony = request.ceremonies.filter(state=CeremonyState.OPEN).first()
    if ceremony is None:
        return "It is being carried out.", [], "Nothing."
    names = names_of(ceremony)
    silent = rounds.silent(ceremony)
    if not silent:
        words = "all messages are in; the certificate is being checked"
        return f"{words[0].upper()}{words[1:]}.", [_reason("certificate", words)], "Nothing."
    ids = dict(ceremony.members.values_list("index", "node_id"))
    who = ", ".join(names[index] for index in silent)
    words = f"round {ceremony.round + 1} of {ceremony.rounds} (attempt {ceremony.attempt}) waits for {who}"
    late = [ids[index] for index in silent]
    waiting = [_reason("round", words, late), *_nodes(request, late, names_by_node(request))]
    return f"It runs: {words}.", waiting, f"See that the nodes of {who} are up."


def _failed(request: TssRequest) -> _Answer:
    reason = _reason("failed", request.state_reason, request.failed_node_ids)
    summary = f"It failed: {request.state_reason}."
    if not request.retryable:
        return summary, [reason], f"A retry cannot help. {_NEW_REQUEST}"
    if must_go_on(request):
        words = "All holders have prepared their shares, so the same ceremony goes on"
        return summary, [reason], f"{words}: bring back the nodes named, then retry."
    return summary, [reason], "Bring back the nodes named or leave them out, then retry."


def _ended(request: TssRequest) -> _Answer:
    reason = f": {request.state_reason}" if request.state_reason else ""
    return f"It is {request.state}{reason}.", [], _NEW_REQUEST


def _succeeded(request: TssRequest) -> _Answer:
    kept = [each for each in erasures(request) if not each["worthless"]]
    if not kept:
        return "It has succeeded.", [], "Nothing."
    waiting = [
        _reason(
            "erasure",
            f"{each['erased']} of {each['participants']} retired shares of epoch {each['epoch']} are erased; "
            f"they are worthless after {each['worthless_after']}",
            each["not_erased"],
        )
        for each in kept
    ]
    return (
        "It has succeeded; old shares are still of use.",
        waiting,
        "Nothing; nodes erase after their grace time.",
    )


_BY_STATE: dict[State, Callable[[TssRequest], _Answer]] = {
    State.AWAITING_APPROVAL: _awaiting,
    State.APPROVED: _approved,
    State.RUNNING: _running,
    State.FAILED: _failed,
    State.SUCCEEDED: _succeeded,
}


def _retry(request: TssRequest) -> dict[str, Any]:
    """What another attempt would do (R20, R21)."""
    blamed = attempts.blamed_in(request.ceremonies.all())
    goes_on = must_go_on(request)
    dealers = attempts.dealers_for(request, blamed) or ()
    eligible = intent_of(request.intent).eligible
    return {
        "possible": request.retryable,
        "same_ceremony": goes_on,
        "attempts_left": MAX_ATTEMPTS - request.attempt,
        "dealers": list(dealers),
        "leaves_out": sorted((blamed.guilty | blamed.unreliable) & set(eligible) - set(dealers)),
    }


def _nodes(request: TssRequest, node_ids: list[str], names: dict[str, str]) -> list[Reason]:
    """What keeps these nodes: away, too old, or refusing."""
    nodes = Node.objects.in_bulk(node_ids)
    away = [node_id for node_id in node_ids if not online(nodes[node_id])]
    minimum = intent_of(request.intent).min_software
    old = [node_id for node_id in node_ids if _version(nodes[node_id].software) < _version(minimum)]
    reasons = []
    if away:
        reasons.append(
            _reason("node_offline", f"the nodes of {_named(away, names)} have not called lately", away)
        )
    if old:
        words = f"the nodes of {_named(old, names)} run software older than {minimum}"
        reasons.append(_reason("software_too_old", words, old))
    for refusal in Refusal.objects.filter(request=request, node__in=node_ids).order_by("received_at"):
        words = f"{names[refusal.node_id]}'s node will not take part: {refusal.message}"
        reasons.append(_reason("node_refused", words, [refusal.node_id], refusal_code=refusal.code))
    return reasons


def _reason(code: str, message: str, node_ids: Iterable[str] = (), **more: Any) -> Reason:
    return {"code": code, "message": message, "node_ids": list(node_ids), **more}


def _named(node_ids: Iterable[str], names: dict[str, str]) -> str:
    return ", ".join(names.get(node_id, node_id) for node_id in node_ids)


def _version(text: str) -> tuple[int, ...]:
    """Dotted numbers; what follows them does not count."""
    numbers = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
