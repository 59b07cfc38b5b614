"""One call of a node, from authenticated bytes to rows and back. Runs in a worker thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from audit import log_context, rationing
from audit import services as audit
from tss import (
    cards,
    certificates,
    decisions,
    evidence,
    inbox,
    mailbox,
    reconcile,
    statements,
    witnessing,
)
from tss.errors import ItemRefused
from tss.representation import milliseconds
from vaults import services as vaults
from vaults.errors import ErrorCode, ServiceError, invalid
from vaults.models import Node
from wire.canonical import CanonicalError, Json, parse_json
from wire.envelope import MAX_ENVELOPE, EnvelopeError
from wire.fields import Fields, WireError
from wire.identity import HolderCard
from wire.node_request import verify_request

# How many of each a call may carry; a node has one decision a request and one message a round.
_MAX_ITEMS = {
    "decisions": 1000,
    "refusals": 1000,
    "messages": 64,
    "certificates": 64,
    "statements": 256,
    "evidence": 16,
    "cards": 1,
}
# What is wrong with the others stands in the log with the request or ceremony that it is about.
_OTHER_ITEMS = ("statements", "audit.words")
_DENIALS = ("bad_signature", "foreign_node", "foreign_key")
_MAX_WAIT_MS = 25_000
_PRESENCE = timedelta(seconds=5)


@dataclass(frozen=True)
class Call:
    """A call as it arrived. time: Unix milliseconds; signature: over the exact body."""

    node_id: str
    path: str
    time: int
    signature: bytes
    body: bytes = field(repr=False)


@dataclass
class SyncCall:
    """A sync call whose items are stored, and the news for its node so far."""

    node: Node
    ask: inbox.Ask
    wait_ms: int
    errors: list[dict[str, str]]
    audit: dict[str, Json] | None
    news: inbox.News


def enrol(call: Call) -> dict[str, Json]:
    """Enrol a node. Raises ServiceError: 2006 (card), 2023 (signature), 2025 (code)."""
    try:
        fields = Fields(_parse(call), "body")
        code = fields.text("code", max_length=128)
        holder_card = fields.take("holder_card")
        card = HolderCard.from_json(holder_card, "body.holder_card")
        software = fields.text("software", max_length=32)
        fields.end()
    except WireError as error:
        raise _malformed(error) from None
    # Proof of possession: the call is signed by the very key that the card introduces (R4).
    if card.node_id != call.node_id:
        raise _bad_signature()
    _authenticate(call, card.signing_key)
    try:
        node = vaults.enrol_node(code=code, holder_card=holder_card, software=software)
    except ServiceError as error:
        # Anybody can make a key and try codes, so these rows are rationed all together.
        if error.code is ErrorCode.FORBIDDEN and rationing.due("enrolment"):
            audit.record(
                actor=f"node:{card.node_id}",
                act="node.enrolment_denied",
                subject=f"node:{card.node_id}",
                detail={"reason": error.message},
            )
        raise
    return {
        "organisation_id": str(node.organisation_id) if node.organisation_id else None,
        "name": node.name,
    }


def sync(call: Call) -> SyncCall:
    """Store what the node hands in, each item by itself, and read what there is for it.

    Raises ServiceError: 2024 for an unknown node, 2023 for a bad signature, 2006 for a malformed call.
    """
    node = Node.objects.filter(pk=call.node_id).first()
    if node is None:
        raise ServiceError(ErrorCode.KEY_UNKNOWN, "this node is not enrolled")
    try:
        _authenticate(call, bytes.fromhex(node.signing_key))
    except ServiceError as error:
        _denied(node, "call", error.message)
        raise
    try:
        fields = Fields(_parse(call), "body")
        software = fields.text("software", max_length=32)
        wait_ms = fields.integer("wait_ms", high=_MAX_WAIT_MS)
        ask = inbox.Ask.take(fields)
        watch = witnessing.Watch.take(fields)
        items = {name: fields.list(name, max_length=limit) for name, limit in _MAX_ITEMS.items()}
        fields.end()
    except WireError as error:
        raise _malformed(error) from None
    with log_context.about(node_id=node.tss_node_id):
        return _exchange(node, ask, watch, software, wait_ms, items)


def _exchange(
    node: Node,
    ask: inbox.Ask,
    watch: witnessing.Watch,
    software: str,
    wait_ms: int,
    items: dict[str, Sequence[Json]],
) -> SyncCall:
    _seen(node, software)
    takers: dict[str, Callable[[Json], None]] = {
        "decisions": lambda item: decisions.decide(node=node, value=item),
        "refusals": lambda item: decisions.refuse(node=node, value=item),
        # Before the messages: they would end the ceremony that the evidence is about.
        "evidence": lambda item: evidence.accept(node=node, value=item),
        "messages": lambda item: mailbox.store(node=node, data=_envelope(item)),
        "certificates": lambda item: certificates.accept(node=node, value=item),
        "statements": lambda item: statements.accept(node=node, value=item),
        "cards": lambda item: cards.publish(node=node, value=item),
    }
    errors = [error for name, take in takers.items() for error in _each(name, items[name], take)]
    errors += _each("audit.words", watch.words, lambda item: witnessing.accept(node=node, value=item))
    for error in errors:
        if error["item"].startswith(_OTHER_ITEMS) and error["code"] in _DENIALS:
            _denied(node, error["item"].partition("[")[0], error["message"])
    # A store that has not changed has nothing new to compare, but somebody may have gone back to an old dump.
    if ask.epochs and rationing.due((node.pk, "epochs", frozenset(ask.epochs.items()))):
        reconcile.compare(node, ask.epochs)
    return SyncCall(node, ask, wait_ms, errors, witnessing.next_for(node, watch), inbox.read(node, ask))


def _each(name: str, items: Sequence[Json], take: Callable[[Json], None]) -> list[dict[str, str]]:
    """Take each item; what is wrong with one does not stop the others."""
    errors: list[dict[str, str]] = []
    for position, item in enumerate(items):
        try:
            take(item)
        except (ItemRefused, EnvelopeError) as error:
            code, message = error.code, str(error)
        except (WireError, CanonicalError) as error:
            code, message = "malformed", str(error)
        except ServiceError as error:
            code, message = error.code.name.lower(), error.message
        else:
            continue
        errors.append({"item": f"{name}[{position}]", "code": code, "message": message})
    return errors


def _envelope(item: Json) -> bytes:
    # The size is checked before anything is decoded.
    if not isinstance(item, str) or len(item) > 4 * MAX_ENVELOPE // 3 + 4:
        raise ItemRefused("too_large", f"an envelope is base64 of at most {MAX_ENVELOPE} bytes")
    return certificates.decode_base64(item)


def _parse(call: Call) -> Json:
    try:
        return parse_json(call.body, max_bytes=settings.MAX_BODY_BYTES)
    except CanonicalError as error:
        raise invalid(error.field or "body", error.message) from None


def _authenticate(call: Call, verify_key: bytes) -> None:
    valid = verify_request(
        verify_key,
        node_id=call.node_id,
        method="POST",
        path=call.path,
        time=call.time,
        body=call.body,
        signature=call.signature,
        now=milliseconds(timezone.now()),
    )
    if not valid:
        raise _bad_signature()


def _denied(node: Node, what: str, reason: str) -> None:
    """Write a denial; rationed, since a node id is public and anybody can call in its name."""
    if rationing.due((node.pk, "denied", what)):
        audit.record(
            actor=f"node:{node.tss_node_id}",
            act="node.denied",
            subject=f"node:{node.tss_node_id}",
            detail={"what": what, "reason": reason},
            organisation_id=str(node.organisation_id) if node.organisation_id else "",
        )


def _malformed(error: WireError) -> ServiceError:
    return invalid(error.field.removeprefix("body."), error.message)


def _bad_signature() -> ServiceError:
    return ServiceError(
        ErrorCode.BAD_SIGNATURE, "the call's signature is not this node's, or its time is far from this clock"
    )


def _seen(node: Node, software: str) -> None:
    now = timezone.now()
    if node.software == software and node.last_seen_at and now - node.last_seen_at < _PRESENCE:
        return
    stale = Q(last_seen_at__isnull=True) | Q(last_seen_at__lt=now - _PRESENCE) | ~Q(software=software)
    Node.objects.filter(stale, pk=node.pk).update(last_seen_at=now, software=software)
