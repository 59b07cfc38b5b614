"""What a node is told: open requests, ceremonies to join, complete rounds, and what has ended.

Everything is read from rows each time, so an answer that was lost is simply given again.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from tss.documents import manifest_of
from tss.models import OPEN_STATES, Ceremony, CeremonyState, Message, ShareSet, State, TssRequest
from vaults.models import Node
from wire.envelope import ABORT, MAX_ENVELOPE, ROUND_MESSAGE
from wire.fields import Fields, WireError

_MAX_KNOWN = 1000
_MAX_SESSIONS = 64
_MAX_REQUESTS = 20
# Of envelopes in one answer, before base64: a node that is far behind asks again.
_MAX_ANSWER_BYTES = 8 * MAX_ENVELOPE


@dataclass(frozen=True)
class Ask:
    """What the node already knows. known: digests (hex); sessions: id (hex) -> the round it waits for."""

    known: frozenset[str]
    sessions: dict[str, int]

    @classmethod
    def take(cls, fields: Fields) -> "Ask":
        """Take `known` and `sessions` from a call. Raises WireError."""
        known = fields.texts("known", max_length=_MAX_KNOWN)
        for position, digest in enumerate(known):
            _check_hash(digest, f"{fields.path('known')}[{position}]")
        sessions = fields.take("sessions")
        path = fields.path("sessions")
        if not isinstance(sessions, dict) or len(sessions) > _MAX_SESSIONS:
            raise WireError(path, f"must be an object of at most {_MAX_SESSIONS} sessions")
        for session_id, next_round in sessions.items():
            _check_hash(session_id, f"{path}.{session_id[:64]}")
            if isinstance(next_round, bool) or not isinstance(next_round, int) or not 0 <= next_round <= 255:
                raise WireError(f"{path}.{session_id}", "must be a round, 0 to 255")
        return cls(frozenset(known), dict(sessions))


@dataclass
class News:
    """The lists of an answer."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    aborts: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())


def read(node: Node, ask: Ask) -> News:
    """What there is for the node now."""
    news = News()
    _requests(node, ask, news)
    _ceremonies(node, ask, news)
    return news


def _requests(node: Node, ask: Ask, news: News) -> None:
    mine = TssRequest.objects.filter(target_group__holders__node=node)
    awaiting = (
        mine.filter(state=State.AWAITING_APPROVAL, expires_at__gt=timezone.now())
        .exclude(digest__in=ask.known)
        .order_by("created_at")
        .prefetch_related("approvals")
    )
    news.requests = [_documents(request) for request in awaiting[:_MAX_REQUESTS]]
    if ask.known:
        closed = mine.filter(digest__in=ask.known).exclude(state__in=OPEN_STATES)
        news.closed = [
            {"digest": digest, "state": state} for digest, state in closed.values_list("digest", "state")
        ]


def _ceremonies(node: Node, ask: Ask, news: News) -> None:
    ceremonies = Ceremony.objects.filter(
        Q(state=CeremonyState.OPEN) | Q(session_id__in=ask.sessions),
        request__target_group__holders__node=node,
    ).select_related("request")
    room = _MAX_ANSWER_BYTES
    for ceremony in ceremonies.order_by("started_at"):
        if node.tss_node_id not in manifest_of(ceremony.request.manifest).node_ids:
            continue
        if ceremony.session_id not in ask.sessions:
            if len(ask.sessions) + len(news.starts) >= _MAX_SESSIONS:
                continue  # the others begin when these have ended
            news.starts.append(
                {
                    "session_id": ceremony.session_id,
                    "attempt": ceremony.attempt,
                    **_documents(ceremony.request),
                }
            )
            continue
        index = manifest_of(ceremony.request.manifest).index_of(node.tss_node_id)
        served = _serve_round(ceremony, index, ask.sessions[ceremony.session_id], room, news)
        room -= served
        if ceremony.state == CeremonyState.FAILED:
            _serve_aborts(ceremony, index, news)
        # A ceremony that succeeded gives a node that is behind its messages first.
        if ceremony.state == CeremonyState.FAILED or (
            ceremony.state == CeremonyState.SUCCEEDED and not served
        ):
            news.ended.append(_end(ceremony))


def _serve_round(ceremony: Ceremony, index: int, next_round: int, room: int, news: News) -> int:
    """Add the round that the node waits for once everybody else has spoken; returns the bytes added."""
    if ceremony.state == CeremonyState.FAILED or next_round > ceremony.round:
        return 0
    envelopes = [
        bytes(envelope)
        for envelope in Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=next_round)
        .exclude(sender=index)
        .order_by("sender")
        .values_list("envelope", flat=True)
    ]
    size = sum(map(len, envelopes))
    if len(envelopes) < ceremony.participants - 1 or (size > room and news.messages):
        return 0
    news.messages.append(
        {
            "session_id": ceremony.session_id,
            "round": next_round,
            "envelopes": [_base64(envelope) for envelope in envelopes],
        }
    )
    return size


def _serve_aborts(ceremony: Ceremony, index: int, news: News) -> None:
    aborts = Message.objects.filter(ceremony=ceremony, type=ABORT).exclude(sender=index).order_by("sender")
    news.aborts += [
        {"session_id": ceremony.session_id, "envelope": _base64(bytes(envelope))}
        for envelope in aborts.values_list("envelope", flat=True)
    ]


def _end(ceremony: Ceremony) -> dict[str, Any]:
    share_set = ShareSet.objects.filter(ceremony=ceremony).first()
    succeeded = ceremony.state == CeremonyState.SUCCEEDED and share_set is not None
    return {
        "session_id": ceremony.session_id,
        "state": ceremony.state,
        "reason": ceremony.reason,
        "certificate": _base64(bytes(share_set.certificate)) if succeeded and share_set else None,
    }


def _documents(request: TssRequest) -> dict[str, Any]:
    return {
        "intent": request.intent,
        "manifest": request.manifest,
        "policy": request.policy,
        "decisions": [approval.signed for approval in request.approvals.order_by("received_at", "id")],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _check_hash(text: str, path: str) -> None:
    if len(text) != 64 or text.strip("0123456789abcdef"):
        raise WireError(path, "must be 64 lower-case hex digits")
