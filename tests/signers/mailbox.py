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
from mpc.dealing_messages import ROUND_ACTIVATED, ROUND_PREPARED, Prepared, parse_prepared
from mpc.session import SessionContext
from signers.answers import Answer, Documents
from wire.abort import Abort
from wire.approval import APPROVE, REJECT, WITHDRAW, Approval
from wire.ballot import complete, holder_cards
from wire.canonical import canonical_bytes, parse_json
from wire.electorate import voters, votes
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.fields import Fields
from wire.intent import POLICY_CHANGE, RECOVERY, ROLE_CHANGE, Intent
from wire.manifest import Manifest
from wire.passkey import PasskeyApproval
from wire.policy import VaultPolicy
from wire.session import choose_dealers, session_context
from wire.set_statement import SetStatement

ROUNDS = 4
OPEN, SUCCEEDED, FAILED = "open", "succeeded", "failed"


@dataclass
class Ceremony:
    """One attempt: its mailbox slots and how it ended."""

    context: SessionContext
    dealers: tuple[str, ...]
    state: str = OPEN
    reason: str = ""
    certificate: bytes = b""
    slots: dict[tuple[int, int, int, int], bytes] = field(default_factory=dict)
    aborts: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def session_id(self) -> str:
        return self.context.session_id().hex()

    @property
    def node_ids(self) -> list[str]:
        return [each.node_id for each in self.context.participants]

    @property
    def adoptable(self) -> bool:
        """Whether every participant may have activated (R26): then late messages still count."""
        answers = [data for slot, data in self.slots.items() if slot[:2] == (ROUND_MESSAGE, ROUND_PREPARED)]
        envelopes = map(Envelope.parse, answers)
        prepared = [parse_prepared(self.context, each.sender, each.body) for each in envelopes]
        return sum(isinstance(each, Prepared) for each in prepared) == self.context.size

    def index_of(self, node_id: str) -> int:
        return self.node_ids.index(node_id) + 1

    def spoke(self, index: int, round: int) -> bool:
        return (ROUND_MESSAGE, round, index, 0) in self.slots

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

    intent: Intent
    manifest: Manifest
    policy: VaultPolicy
    source_manifest: Manifest | None = None
    new_policy: VaultPolicy | None = None
    decisions: dict[str, Approval] = field(default_factory=dict)
    passkeys: dict[str, PasskeyApproval] = field(default_factory=dict)
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)
    state: str = OPEN
    ceremonies: list[Ceremony] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return self.intent.digest().hex()

    @property
    def ceremony(self) -> Ceremony:
        return self.ceremonies[-1]

    @property
    def voters(self) -> tuple[str, ...]:
        return voters(votes(self.intent, self.manifest, self.policy))

    @property
    def approved(self) -> list[str]:
        by_node, by_passkey = (
            {each.node_id for each in kind.values() if each.decision == APPROVE}
            for kind in (self.decisions, self.passkeys)
        )
        return sorted(complete(holder_cards(self.manifest, self.source_manifest), by_node, by_passkey))

    @property
    def won(self) -> bool:
        return all(vote.won(self.approved) for vote in votes(self.intent, self.manifest, self.policy))

    def signing_key(self, node_id: str) -> bytes:
        rosters = (self.manifest, self.source_manifest or self.manifest)
        roster = next(each for each in rosters if node_id in each.node_ids)
        return roster.card_of(node_id).signing_key

    def texts(self) -> dict[str, str]:
        return {
            "intent": self.intent.encode().decode(),
            "manifest": self.manifest.encode().decode(),
            "source_manifest": self.source_manifest.encode().decode() if self.source_manifest else "",
            "policy": self.policy.encode().decode(),
            "new_policy": self.new_policy.encode().decode() if self.new_policy else "",
        }

    def shown_decisions(self) -> list[Any]:
        by_node = [each.to_json() for each in self.decisions.values()]
        return [*by_node, *(each.to_json() for each in self.passkeys.values())]


@dataclass
class Group:
    """The share set that a group uses now."""

    manifest: Manifest
    certificate: Certificate
    members: set[str]


Tamper = Callable[[str, dict[str, Any]], None]


class Mailbox:
    """The coordinator of a test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.groups: dict[str, Group] = {}
        # All final certificates, the oldest first, and what later documents show as decrees.
        self.certificates: list[bytes] = []
        self.decrees: list[dict[str, Any]] = []
        self.statements: list[SetStatement] = []
        self.evidence: list[dict[str, str]] = []
        self.epochs: dict[str, dict[str, int]] = {}
        self.tamper: Tamper | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        # Sees what each node sends before the mailbox does: a hostile node behind an honest identity.
        self.forge: Tamper | None = None

    def add(self, request: Request) -> Request:
        self.requests.append(request)
        return request

    def attempt(self, request: Request, number: int | None = None, without: tuple[str, ...] = ()) -> Ceremony:
        """Open the next (or a given) attempt; without: who does not deal (R21)."""
        attempt = number if number is not None else len(request.ceremonies) + 1
        willing = [node_id for node_id in request.approved if node_id not in without]
        dealers = choose_dealers(request.intent, willing)
        context = session_context(request.intent, request.manifest, request.source_manifest, attempt, dealers)
        request.ceremonies.append(Ceremony(context, dealers))
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
        for item in body["statements"]:
            self._state(SetStatement.from_json(item))
        self.evidence += body["evidence"]
        self.epochs[node_id] = body["epochs"]
        return errors

    def _decide(self, decision: Approval) -> None:
        request = next(each for each in self.requests if each.digest == decision.digest.hex())
        assert decision.verify(request.signing_key(decision.node_id))
        if request.decisions.setdefault(decision.node_id, decision).decision == APPROVE:
            request.decisions[decision.node_id] = decision
        self._proceed(request, decision.decision)

    def _proceed(self, request: Request, decision: str) -> None:
        if decision in (REJECT, WITHDRAW):
            request.state = "rejected"
        elif request.state == OPEN and request.won and not request.ceremonies:
            if request.intent.runs_ceremony:
                self.attempt(request)
            else:
                self._succeed(request)

    def vote(self, request: Request, vote: PasskeyApproval) -> None:
        """A passkey's vote, as the site takes it."""
        request.passkeys[vote.node_id] = vote
        self._proceed(request, vote.decision)

    def _passkeys(self, node_id: str, body: dict[str, Any]) -> list[Any]:
        """What the node's own holder said, until the node knows."""
        known = [each for each in self.requests if each.digest in body["known"] and node_id in each.passkeys]
        votes = [each.passkeys[node_id] for each in known]
        return [each.to_json() for each in votes if body["passkeys"].get(each.digest.hex()) != each.decision]

    def _refuse(self, node_id: str, item: dict[str, str]) -> None:
        for request in self.requests:
            if request.digest == item["digest"]:
                request.refusals[node_id] = (item["code"], item["message"])
                running = bool(request.ceremonies) and request.ceremony.state == OPEN
                if running and node_id in request.ceremony.node_ids:
                    request.ceremony.state, request.ceremony.reason = FAILED, item["code"]

    def _message(self, data: bytes) -> str:
        envelope = Envelope.parse(data)
        ceremony = self._ceremony(envelope.session_id.hex())
        late = ceremony.state == FAILED and envelope.round == ROUND_ACTIVATED and ceremony.adoptable
        if ceremony.state != OPEN and not late:
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
        if ceremony.certificate:
            return
        ceremony.state, ceremony.certificate = SUCCEEDED, data
        self._succeed(next(each for each in self.requests if ceremony in each.ceremonies), certificate)

    def _succeed(self, request: Request, certificate: Certificate | None = None) -> None:
        request.state = SUCCEEDED
        intent, manifest = request.intent, request.manifest
        moves_main = intent.type == RECOVERY and manifest.group_id not in self.groups
        if certificate is not None:
            self.certificates.append(certificate.encode())
            group = self.groups.get(manifest.group_id)
            members = set(manifest.node_ids) | (group.members if group else set())
            self.groups[manifest.group_id] = Group(manifest, certificate, members)
        if moves_main or intent.type in (ROLE_CHANGE, POLICY_CHANGE):
            decree = {**request.texts(), "decisions": request.shown_decisions()}
            decree["certificate"] = b64encode(certificate.encode()).decode() if certificate else ""
            self.decrees.append(decree)

    def _state(self, statement: SetStatement) -> None:
        ceremony = self._ceremony(statement.session_id.hex())
        key = next(
            each.verify_key for each in ceremony.context.participants if each.node_id == statement.node_id
        )
        assert statement.verify(key)
        self.statements.append(statement)

    def _ceremony(self, session_id: str) -> Ceremony:
        return next(
            ceremony
            for request in self.requests
            for ceremony in request.ceremonies
            if ceremony.session_id == session_id
        )

    def documents(self, request: Request) -> dict[str, Any]:
        """Everything that a node needs to judge a request."""
        proofs = [b64encode(each).decode() for each in self.certificates]
        return {
            **request.texts(),
            "decisions": request.shown_decisions(),
            "certificates": proofs,
            "decrees": self.decrees,
        }

    def shown(self, request: Request) -> Documents:
        """The same as a node reads it."""
        return Documents.read(Fields(self.documents(request), "documents"))

    def _answer(self, node_id: str, body: dict[str, Any], errors: list[dict[str, str]]) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "requests": [],
            "closed": [],
            "starts": [],
            "messages": [],
            "aborts": [],
            "ended": [],
            "certificates": self._missed(node_id, body["epochs"]),
            "passkeys": self._passkeys(node_id, body),
            "errors": errors,
            "audit": None,
            "server_time": 0,
        }
        for request in self.requests:
            if node_id not in request.voters and not self._is_told(node_id, request):
                continue
            if request.state == OPEN and not request.ceremonies and request.digest not in body["known"]:
                answer["requests"].append({"documents": self.documents(request)})
            if request.state != OPEN and request.digest in body["known"]:
                answer["closed"].append({"digest": request.digest, "state": request.state})
            for ceremony in request.ceremonies:
                if node_id in ceremony.node_ids:
                    self._serve(node_id, request, ceremony, body["sessions"], answer)
        return answer

    def _is_told(self, node_id: str, request: Request) -> bool:
        """R17: a Recovery is shown to everybody who holds the Main group's key; so is a change of members to
        whom it leaves out."""
        retired = [self.groups[each.group_id] for each in request.intent.retires]
        return any(node_id in group.manifest.node_ids for group in retired)

    def _missed(self, node_id: str, epochs: dict[str, int]) -> list[str]:
        """Certificates of groups in which the node is or was a member and is behind, the oldest first."""
        behind = {
            group.certificate.hash()
            for group_id, group in self.groups.items()
            if node_id in group.members and epochs.get(group_id, 0) < group.manifest.epoch
        }
        if not behind:
            return []
        return [b64encode(each).decode() for each in self.certificates]

    def _serve(
        self,
        node_id: str,
        request: Request,
        ceremony: Ceremony,
        sessions: dict[str, int],
        answer: dict[str, Any],
    ) -> None:
        session_id = ceremony.session_id
        if session_id not in sessions:
            if ceremony.state == OPEN:
                start = {
                    "session_id": session_id,
                    "attempt": ceremony.context.attempt,
                    "dealers": list(ceremony.dealers),
                    "documents": self.documents(request),
                }
                answer["starts"].append(start)
            return
        index = ceremony.index_of(node_id)
        for sender, envelope in ceremony.aborts:
            if sender != index:
                answer["aborts"].append({"session_id": session_id, "envelope": b64encode(envelope).decode()})
        envelopes = ceremony.round_for(index, sessions[session_id])
        open_or_late = ceremony.state != FAILED or ceremony.adoptable
        if envelopes is not None and open_or_late and sessions[session_id] < ROUNDS:
            encoded = [b64encode(each).decode() for each in envelopes]
            answer["messages"].append(
                {"session_id": session_id, "round": sessions[session_id], "envelopes": encoded}
            )
        elif ceremony.state == SUCCEEDED or (ceremony.state == FAILED and not ceremony.adoptable):
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
