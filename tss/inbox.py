"""What a node is told: open requests, ceremonies to join, complete rounds, and what has ended.

Everything is read from rows each time, so an answer that was lost is simply given again.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from audit import rationing
from mpc.dealing_messages import ROUND_PREPARED
from tss import catching_up
from tss.models import (
    OPEN_STATES,
    Approval,
    Ceremony,
    CeremonyState,
    Decision,
    Message,
    Participant,
    ShareSet,
    SignedBy,
    State,
    TssRequest,
)
from tss.proofs import documents, to_base64
from vaults.models import Node
from wire.envelope import ABORT, MAX_ENVELOPE, ROUND_MESSAGE
from wire.fields import Fields, WireError

_MAX_KNOWN = 1000
_MAX_SESSIONS = 64
_MAX_EPOCH = 2**32 - 1
_MAX_REQUESTS = 20
# Of envelopes and of documents in one answer, before base64: a node that is far behind asks again.
_MAX_ANSWER_BYTES = 8 * MAX_ENVELOPE


@dataclass(frozen=True)
class Ask:
    """What the node already knows. known: digests (hex); sessions: id (hex) -> the round it waits for;
    epochs: group id -> epoch of the newest certified set in its store; passkeys: digest (hex) -> what its
    holder's passkey said."""

    known: frozenset[str]
    sessions: dict[str, int]
    epochs: dict[str, int]
    passkeys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def take(cls, fields: Fields) -> "Ask":
        """Take `known`, `sessions`, `epochs` and `passkeys` from a call. Raises WireError."""
        known = fields.texts("known", max_length=_MAX_KNOWN)
        for position, digest in enumerate(known):
            _check_hash(digest, f"{fields.path('known')}[{position}]")
        sessions = _numbers(fields, "sessions", limit=_MAX_SESSIONS, high=255)
        for session_id in sessions:
            _check_hash(session_id, f"{fields.path('sessions')}.{session_id[:64]}")
        return cls(
            frozenset(known),
            sessions,
            _numbers(fields, "epochs", limit=catching_up.MAX_EPOCHS, high=_MAX_EPOCH),
            _decisions(fields, "passkeys"),
        )


@dataclass
class News:
    """The lists of an answer, and whether they are worth an answer before the poll's time is over."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    aborts: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    passkeys: list[dict[str, Any]] = field(default_factory=list)
    urgent: bool = False

    def __bool__(self) -> bool:
        return self.urgent or bool(
            self.requests or self.closed or self.starts or self.messages or self.passkeys
        )

    def answer(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "urgent"}


def read(node: Node, ask: Ask) -> News:
    """What there is for the node now."""
    news = News()
    _requests(node, ask, news)
    _passkeys(node, ask, news)
    _ceremonies(node, ask, news)
    _certificates(node, ask, news)
    return news


def _requests(node: Node, ask: Ask, news: News) -> None:
    mine = TssRequest.objects.filter(voters__node=node)
    awaiting = (
        mine.filter(state=State.AWAITING_APPROVAL, expires_at__gt=timezone.now())
        .exclude(digest__in=ask.known)
        .order_by("created_at")
        .prefetch_related("approvals")
    )
    room = _MAX_ANSWER_BYTES
    for request in awaiting[:_MAX_REQUESTS]:
        shown = documents(request)
        room -= _size(shown)
        if room < 0 and news.requests:
            break
        news.requests.append({"documents": shown})
    if ask.known:
        closed = mine.filter(digest__in=ask.known).exclude(state__in=OPEN_STATES)
        news.closed = [
            {"digest": digest, "state": state} for digest, state in closed.values_list("digest", "state")
        ]


def _passkeys(node: Node, ask: Ask, news: News) -> None:
    """What the node's own holder said with a passkey (R10, R13)."""
    if not ask.known:
        return
    votes = Approval.objects.filter(node=node, kind=SignedBy.PASSKEY, request__digest__in=ask.known)
    rows = votes.order_by("received_at").values_list("request__digest", "decision", "signed")
    news.passkeys = [signed for digest, decision, signed in rows if ask.passkeys.get(digest) != decision]


def _ceremonies(node: Node, ask: Ask, news: News) -> None:
    places = Participant.objects.filter(
        Q(ceremony__state=CeremonyState.OPEN) | Q(ceremony__in=list(ask.sessions)), node=node
    ).select_related("ceremony__request")
    room = _MAX_ANSWER_BYTES
    for place in places.order_by("ceremony__started_at"):
        ceremony = place.ceremony
        if ceremony.session_id not in ask.sessions:
            if len(ask.sessions) + len(news.starts) >= _MAX_SESSIONS:
                continue  # the others begin when these have ended
            start = _start(ceremony)
            room -= _size(start["documents"])
            if room >= 0 or not news.starts:
                news.starts.append(start)
            continue
        next_round = ask.sessions[ceremony.session_id]
        served = _serve_round(ceremony, place.index, next_round, room, news)
        room -= served
        # A ceremony that succeeded gives a node that is behind its messages first. One that stalled has not
        # ended: the node goes on waiting for what is missing (R26).
        if ceremony.state in (CeremonyState.FAILED, CeremonyState.SUCCEEDED) and not served:
            if ceremony.state == CeremonyState.FAILED:
                _serve_aborts(ceremony, place.index, news)
            news.ended.append(_end(ceremony))
            # A node that has prepared a share keeps the session until it is sure; it need not hear this at
            # every call.
            waits = ceremony.state == CeremonyState.FAILED and next_round >= ROUND_PREPARED
            news.urgent |= not waits or rationing.due((node.pk, ceremony.session_id))


def _start(ceremony: Ceremony) -> dict[str, Any]:
    return {
        "session_id": ceremony.session_id,
        "attempt": ceremony.attempt,
        "dealers": ceremony.dealers,
        "documents": documents(ceremony.request),
    }


def _serve_round(ceremony: Ceremony, index: int, next_round: int, room: int, news: News) -> int:
    """Add the round that the node waits for once it is complete; returns the bytes added.

    Complete, with the node's own message: so the rows know before any node does that all have prepared.
    """
    if ceremony.state == CeremonyState.FAILED or next_round >= ceremony.round:
        return 0
    envelopes = [
        bytes(envelope)
        for envelope in Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=next_round)
        .exclude(sender=index)
        .order_by("sender")
        .values_list("envelope", flat=True)
    ]
    size = sum(map(len, envelopes))
    # Nothing of a round that is not kept any more.
    if len(envelopes) < ceremony.participants - 1 or (size > room and news.messages):
        return 0
    news.messages.append(
        {
            "session_id": ceremony.session_id,
            "round": next_round,
            "envelopes": [to_base64(envelope) for envelope in envelopes],
        }
    )
    return size


def _serve_aborts(ceremony: Ceremony, index: int, news: News) -> None:
    aborts = Message.objects.filter(ceremony=ceremony, type=ABORT).exclude(sender=index).order_by("sender")
    news.aborts += [
        {"session_id": ceremony.session_id, "envelope": to_base64(bytes(envelope))}
        for envelope in aborts.values_list("envelope", flat=True)
    ]


def _end(ceremony: Ceremony) -> dict[str, Any]:
    share_set = ShareSet.objects.filter(ceremony=ceremony).first()
    succeeded = ceremony.state == CeremonyState.SUCCEEDED and share_set is not None
    return {
        "session_id": ceremony.session_id,
        "state": ceremony.state,
        "reason": ceremony.reason,
        "certificate": to_base64(bytes(share_set.certificate)) if succeeded and share_set else None,
    }


def _certificates(node: Node, ask: Ask, news: News) -> None:
    # Asked when the node's store has changed, and now and then; a node that has no use for what it is shown
    # must not be called back at once.
    if not rationing.due((node.pk, frozenset(ask.epochs.items()))):
        return
    news.certificates = [to_base64(each) for each in catching_up.certificates_for(node, ask.epochs)]
    news.urgent |= bool(news.certificates)


def _size(shown: dict[str, Any]) -> int:
    """Roughly, in bytes: certificates and rosters are what can be large."""
    texts = (shown["manifest"], shown["source_manifest"], *shown["certificates"])
    return sum(map(len, texts)) + sum(len(decree["manifest"]) for decree in shown["decrees"])


def _numbers(fields: Fields, name: str, *, limit: int, high: int) -> dict[str, int]:
    path, value = fields.path(name), fields.take(name)
    if not isinstance(value, dict) or len(value) > limit:
        raise WireError(path, f"must be an object of at most {limit} entries")
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= high:
            raise WireError(f"{path}.{key[:64]}", f"must be an integer, 0 to {high}")
    return dict(value)


def _decisions(fields: Fields, name: str) -> dict[str, str]:
    path, value = fields.path(name), fields.take(name)
    if not isinstance(value, dict) or len(value) > _MAX_KNOWN:
        raise WireError(path, f"must be an object of at most {_MAX_KNOWN} entries")
    for digest, decision in value.items():
        _check_hash(digest, f"{path}.{digest[:64]}")
        if decision not in Decision.values:
            raise WireError(f"{path}.{digest}", f"must be one of {', '.join(Decision.values)}")
    return dict(value)


def _check_hash(text: str, path: str) -> None:
    if len(text) != 64 or text.strip("0123456789abcdef"):
        raise WireError(path, "must be 64 lower-case hex digits")
