"""What a node has to say in one call, and what of it the coordinator took."""

import logging
from base64 import b64encode
from dataclasses import dataclass
from typing import TypeVar

from signers import __version__
from signers.answers import Answer
from signers.errors import plain
from signers.evidence import SEEN, EvidencePair
from signers.requests import Refused
from signers.sessions import OutgoingMessage
from signers.store import Store
from wire.approval import Approval
from wire.canonical import Json
from wire.checkpoint import Witness
from wire.identity import HolderCard
from wire.set_statement import SetStatement

log = logging.getLogger("quorate.node")
T = TypeVar("T")

CARD_DELIVERED = "card_delivered"

# Below the coordinator's body limit with room for base64 (4 for 3) and JSON.
MAX_CALL_BYTES = 2 << 20
_MAX_CODE, _MAX_MESSAGE = 64, 500
# What a call may carry of each (docs/protocol.md).
_MAX_EPOCHS, _MAX_STATEMENTS, _MAX_EVIDENCE = 256, 256, 16


@dataclass(frozen=True)
class Outbox:
    """The items of one call. `more`: some had to wait for the next one."""

    decisions: tuple[Approval, ...] = ()
    refusals: tuple[Refused, ...] = ()
    messages: tuple[OutgoingMessage, ...] = ()
    certificates: tuple[tuple[str, bytes], ...] = ()
    statements: tuple[SetStatement, ...] = ()
    evidence: tuple[EvidencePair, ...] = ()
    audit_words: tuple[Witness, ...] = ()
    cards: tuple[HolderCard, ...] = ()
    more: bool = False

    @classmethod
    def collect(cls, store: Store) -> "Outbox":
        """Everything that the coordinator has not confirmed, as far as it fits into a call."""
        left = MAX_CALL_BYTES
        certificates = tuple(store.shares.undelivered_certificates())
        left -= sum(len(certificate) for _, certificate in certificates)
        messages: list[OutgoingMessage] = []
        more = False
        for message in store.sessions.undelivered():
            if messages and len(message.envelope) > left:
                more = True
                break
            left -= len(message.envelope)
            messages.append(message)
        evidence: list[EvidencePair] = []
        for pair in store.evidence.undelivered()[:_MAX_EVIDENCE]:
            left -= len(pair.first) + len(pair.second)
            if left >= 0:
                evidence.append(pair)
        return cls(
            decisions=tuple(store.requests.undelivered_decisions()),
            refusals=tuple(store.requests.unsent_refusals()),
            messages=tuple(messages),
            certificates=certificates,
            statements=tuple(store.statements.undelivered()[:_MAX_STATEMENTS]),
            evidence=tuple(evidence),
            audit_words=tuple(store.audit_words.undelivered()),
            cards=undelivered_card(store),
            more=more,
        )

    def body(self, store: Store) -> dict[str, Json]:
        """The call's JSON, with what the node already knows."""
        newest = store.audit_words.newest()
        return {
            "software": __version__,
            "known": store.requests.open_digests(),
            "sessions": {record.session_id: record.round for record in store.sessions.listed()},
            "decisions": [decision.to_json() for decision in self.decisions],
            "refusals": [
                {"digest": each.digest, "code": each.code[:_MAX_CODE], "message": each.message[:_MAX_MESSAGE]}
                for each in self.refusals
            ],
            "messages": [b64encode(message.envelope).decode() for message in self.messages],
            "certificates": [
                {"session_id": session_id, "certificate": b64encode(certificate).decode()}
                for session_id, certificate in self.certificates
            ],
            "epochs": _epochs(store),
            "statements": [statement.to_json() for statement in self.statements],
            "evidence": [
                {
                    "session_id": pair.session_id,
                    "kind": pair.kind,
                    "first": b64encode(pair.first).decode(),
                    "second": "" if pair.kind == SEEN else b64encode(pair.second).decode(),
                }
                for pair in self.evidence
            ],
            "audit": {
                "seen": newest.checkpoint.sequence if newest else 0,
                "words": [word.to_json() for word in self.audit_words],
            },
            "cards": [card.to_json() for card in self.cards],
            # What the own holder's passkeys said, as far as it is known here.
            "passkeys": {
                kept.vote.digest.hex(): kept.vote.decision
                for kept in store.passkeys.open_of(store.card().node_id)
            },
        }

    def settle(self, store: Store, answer: Answer) -> bool:
        """Mark what was taken; the rest is sent again while it matters. True when something was taken."""
        failed = {error.item for error in answer.errors}
        for error in answer.errors:
            log.warning(
                "event=item_not_taken item=%s code=%s detail=%s",
                plain(error.item),
                plain(error.code),
                plain(error.message),
            )
        if not self._carries_anything():
            return False
        with store.database.transaction():
            for decision in _taken(self.decisions, "decisions", failed):
                store.requests.mark_delivered(decision)
            for refused in _taken(self.refusals, "refusals", failed):
                store.requests.mark_refusal_sent(refused)
            store.sessions.mark_delivered(_taken(self.messages, "messages", failed))
            for session_id, _ in _taken(self.certificates, "certificates", failed):
                store.shares.mark_certificate_delivered(session_id)
            store.statements.mark_delivered(_taken(self.statements, "statements", failed))
            store.evidence.mark_delivered(_taken(self.evidence, "evidence", failed))
            store.audit_words.mark_sent(list(self.audit_words))
            for card in _taken(self.cards, "cards", failed):
                store.set_setting(CARD_DELIVERED, str(card.version))
        return not failed

    def _carries_anything(self) -> bool:
        items = (self.decisions, self.refusals, self.messages, self.certificates)
        return any(items) or bool(self.statements or self.evidence or self.audit_words or self.cards)


def undelivered_card(store: Store) -> tuple[HolderCard, ...]:
    """The own card, if the coordinator has not got this version yet; enrolment gives it the first one."""
    card = store.card()
    delivered = int(store.setting(CARD_DELIVERED) or 1)
    return (card,) if card.version > delivered else ()


def _epochs(store: Store) -> dict[str, int]:
    """Group -> epoch of the newest final set here, by which the coordinator sees who is behind (R30)."""
    epochs: dict[str, int] = {}
    for record in store.shares.final():
        epochs[record.group_id] = max(record.epoch, epochs.get(record.group_id, 0))
    return dict(list(epochs.items())[:_MAX_EPOCHS])


def _taken(items: tuple[T, ...], name: str, failed: set[str]) -> list[T]:
    return [item for position, item in enumerate(items) if f"{name}[{position}]" not in failed]
