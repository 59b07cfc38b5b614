"""An in-memory coordinator that keeps the promises of the node API, so that real nodes can run real
ceremonies.

It is the network of these tests, not a stand-in for any cryptography: requests, approvals, envelopes and
certificates are the real ones. `tamper` sees every answer before the node does, which makes it a hostile
coordinator.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mpc.certificate import Certificate
from mpc.session import SessionContext
from signers.answers import Answer
from wire.abort import Abort
from wire.approval import APPROVE, Approval
from wire.canonical import canonical_bytes, parse_json
from wire.envelope import ABORT, Envelope
from wire.intent import KeyGenIntent
from wire.manifest import Manifest
from wire.policy import VaultPolicy
from wire.session import key_gen_context

ROUNDS = 4
OPEN, SUCCEEDED, FAILED = "open", "succeeded", "failed"


@dataclass
class Ceremony:
    """One attempt: its mailbox slots and how it ended."""

    context: SessionContext
    state: str = OPEN
    reason: str = ""
    certificate: bytes = b""
    slots: dict[tuple[int, int, int, int], bytes] = field(default_factory=dict)
    aborts: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def session_id(self) -> str:
        return self.context.session_id().hex()

    def index_of(self, node_id: str) -> int:
        return next(each.index for each in self.context.participants if each.node_id == node_id)

    def round_for(self, index: int, round: int) -> list[bytes] | None:
        """The envelopes of a complete round for participant `index`, else None."""
        found = [
            self.slots[slot]
            for slot in sorted(self.slots)
            if slot[1] == round and slot[2] != index and slot[3] in (0, index)
        ]
        return found if len(found) == self.context.size - 1 else None

    def said(self) -> Abort:
        """The first ABORT of the ceremony."""
        return Abort.parse(Envelope.parse(self.aborts[0][1]).body)


@dataclass
class Request:
    """A request with the texts that the coordinator shows."""

    intent: KeyGenIntent
    manifest: Manifest
    policy: VaultPolicy
    decisions: dict[str, Approval] = field(default_factory=dict)
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)
    state: str = OPEN
    ceremonies: list[Ceremony] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return self.intent.digest().hex()

    @property
    def ceremony(self) -> Ceremony:
        return self.ceremonies[-1]

    def texts(self) -> dict[str, str]:
        return {
            "intent": self.intent.encode().decode(),
            "manifest": self.manifest.encode().decode(),
            "policy": self.policy.encode().decode(),
        }


Tamper = Callable[[str, dict[str, Any]], None]


class Mailbox:
    """The coordinator of a test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.tamper: Tamper | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        # Sees what each node sends before the mailbox does: a hostile node behind an honest identity.
        self.forge: Tamper | None = None

    def add(self, request: Request) -> Request:
        self.requests.append(request)
        return request

    def attempt(self, request: Request, number: int | None = None) -> Ceremony:
        """Open the next (or a given) attempt."""
        attempt = number if number is not None else len(request.ceremonies) + 1
        request.ceremonies.append(Ceremony(key_gen_context(request.intent, request.manifest, attempt)))
        return request.ceremony

    def sync(self, node_id: str, body: dict[str, Any]) -> Answer:
        """One call, parsed as a node parses it."""
        return Answer.parse(parse_json(canonical_bytes(self.raw(node_id, body)), max_bytes=16 << 20))

    def raw(self, node_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call as JSON; everything travels as text."""
        body = parse_json(canonical_bytes(body), max_bytes=16 << 20)
        if self.forge is not None:
            self.forge(node_id, body)
        self.calls.append((node_id, body))
        errors = self._store(node_id, body)
        answer = self._answer(node_id, body, errors)
        if self.tamper is not None:
            self.tamper(node_id, answer)
        return answer

    def _store(self, node_id: str, body: dict[str, Any]) -> list[dict[str, str]]:
        errors: list[dict[str, str]] = []
        for item in body["decisions"]:
            self._decide(Approval.from_json(item))
        for item in body["refusals"]:
            self._refuse(node_id, item)
        for position, item in enumerate(body["messages"]):
            fault = self._message(b64decode(item))
            if fault:
                errors.append({"item": f"messages[{position}]", "code": fault, "message": ""})
        for item in body["certificates"]:
            self._certify(item["session_id"], b64decode(item["certificate"]))
        return errors

    def _decide(self, decision: Approval) -> None:
        request = next(each for each in self.requests if each.digest == decision.digest.hex())
        assert decision.verify(request.manifest.card_of(decision.node_id).signing_key)
        request.decisions.setdefault(decision.node_id, decision)
        approved = [each for each in request.decisions.values() if each.decision == APPROVE]
        if len(approved) < len(request.decisions):
            request.state = "rejected"
        elif len(approved) == request.manifest.participants and not request.ceremonies:
            self.attempt(request)

    def _refuse(self, node_id: str, item: dict[str, str]) -> None:
        for request in self.requests:
            if request.digest == item["digest"]:
                request.refusals[node_id] = (item["code"], item["message"])
                if request.ceremonies and request.ceremony.state == OPEN:
                    request.ceremony.state, request.ceremony.reason = FAILED, item["code"]

    def _message(self, data: bytes) -> str:
        envelope = Envelope.parse(data)
        ceremony = self._ceremony(envelope.session_id.hex())
        if ceremony.state != OPEN:
            return "ceremony_closed"
        if not envelope.verify(ceremony.context.verify_key(envelope.sender)):
            return "bad_signature"
        if envelope.type == ABORT:
            ceremony.aborts.append((envelope.sender, data))
            ceremony.state, ceremony.reason = FAILED, Abort.parse(envelope.body).code
            return ""
        if ceremony.slots.setdefault(envelope.slot, data) != data:
            ceremony.state, ceremony.reason = FAILED, f"equivocation of {envelope.sender}"
        return ""

    def _certify(self, session_id: str, data: bytes) -> None:
        ceremony = self._ceremony(session_id)
        certificate = Certificate.parse(data)
        certificate.verify()
        assert certificate.statement.context == ceremony.context
        assert ceremony.certificate in (b"", data)
        ceremony.state, ceremony.certificate = SUCCEEDED, data
        next(each for each in self.requests if ceremony in each.ceremonies).state = SUCCEEDED

    def _ceremony(self, session_id: str) -> Ceremony:
        return next(
            ceremony
            for request in self.requests
            for ceremony in request.ceremonies
            if ceremony.session_id == session_id
        )

    def _answer(self, node_id: str, body: dict[str, Any], errors: list[dict[str, str]]) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "requests": [],
            "closed": [],
            "starts": [],
            "messages": [],
            "aborts": [],
            "ended": [],
            "errors": errors,
            "server_time": 0,
        }
        for request in self.requests:
            if node_id not in request.manifest.node_ids:
                continue
            decisions = [each.to_json() for each in request.decisions.values()]
            if request.state == OPEN and not request.ceremonies and request.digest not in body["known"]:
                answer["requests"].append({**request.texts(), "decisions": decisions})
            if request.state != OPEN and request.digest in body["known"]:
                answer["closed"].append({"digest": request.digest, "state": request.state})
            for ceremony in request.ceremonies:
                self._serve(node_id, request, ceremony, decisions, body["sessions"], answer)
        return answer

    def _serve(
        self,
        node_id: str,
        request: Request,
        ceremony: Ceremony,
        decisions: list[Any],
        sessions: dict[str, int],
        answer: dict[str, Any],
    ) -> None:
        session_id = ceremony.session_id
        if session_id not in sessions:
            if ceremony.state == OPEN:
                start = {
                    "session_id": session_id,
                    "attempt": ceremony.context.attempt,
                    "decisions": decisions,
                }
                answer["starts"].append({**request.texts(), **start})
            return
        index = ceremony.index_of(node_id)
        for sender, envelope in ceremony.aborts:
            if sender != index:
                answer["aborts"].append({"session_id": session_id, "envelope": b64encode(envelope).decode()})
        envelopes = ceremony.round_for(index, sessions[session_id])
        if envelopes is not None and ceremony.state != FAILED and sessions[session_id] < ROUNDS:
            encoded = [b64encode(each).decode() for each in envelopes]
            answer["messages"].append(
                {"session_id": session_id, "round": sessions[session_id], "envelopes": encoded}
            )
        elif ceremony.state != OPEN:
            answer["ended"].append(
                {
                    "session_id": session_id,
                    "state": ceremony.state,
                    "reason": ceremony.reason,
                    "certificate": b64encode(ceremony.certificate).decode() if ceremony.certificate else None,
                }
            )


class MailboxTransport:
    """A node's way to the mailbox."""

    def __init__(self, mailbox: Mailbox, node_id: str) -> None:
        self._mailbox = mailbox
        self._node_id = node_id

    def sync(self, body: dict[str, Any], wait_ms: int) -> Answer:
        assert 0 <= wait_ms <= 25_000
        return self._mailbox.sync(self._node_id, body)

    def raw(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._mailbox.raw(self._node_id, body)
