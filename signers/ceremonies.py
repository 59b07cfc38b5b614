"""One ceremony as this node sees it, and how its state and messages are kept (R23)."""

from dataclasses import dataclass

from mpc.certificate import Certificate, Statement
from mpc.dealing import Dealing
from mpc.dealing_messages import ROUND_PREPARED
from mpc.protocol import Step
from mpc.session import SessionContext
from signers import set_rules
from signers.errors import NodeError, SessionAbort
from signers.identity import Identity
from signers.sealing import DataKey, Place
from signers.sessions import SessionRecord
from signers.set_rules import ACTIVATED, PREPARED, Roster
from signers.store import Store
from wire.envelope import ROUND_MESSAGE, Envelope
from wire.intent import Intent
from wire.manifest import Manifest
from wire.session import session_context


@dataclass
class Ceremony:
    """What a ceremony needs in memory; rebuilt from the store after a restart.

    source: certificate of the set that deals, None in KeyGen; index: this node's participant index.
    """

    intent: Intent
    manifest: Manifest
    source_manifest: Manifest | None
    source: Certificate | None
    context: SessionContext
    index: int
    machine: Dealing | None = None

    @property
    def receives(self) -> bool:
        """Whether this node gets a share of the new set; a pure dealer does not."""
        return self.index in self.context.receiver_indices

    @property
    def deals(self) -> bool:
        """Whether this node deals a share that it holds."""
        return any(dealer.index == self.index for dealer in self.context.dealers)

    @property
    def statement(self) -> Statement | None:
        return self.source.statement if self.source else None

    def roster(self) -> Roster:
        ids = [each.node_id for each in self.context.participants]
        return Roster(frozenset(ids), frozenset(ids[: self.context.receivers]))

    def verify_key(self, node_id: str) -> bytes | None:
        """The certified or pinned key of a participant, None for others."""
        return next((each.verify_key for each in self.context.participants if each.node_id == node_id), None)


def index_of(context: SessionContext, node_id: str) -> int:
    """The participant index of a node. Raises SessionAbort."""
    for each in context.participants:
        if each.node_id == node_id:
            return each.index
    raise SessionAbort("not_a_participant", "this node neither deals nor receives in this session")


class Ceremonies:
    """The ceremonies of one unlocked node, in memory and in its store."""

    def __init__(self, store: Store, identity: Identity, data_key: DataKey) -> None:
        self._store = store
        self._identity = identity
        self._data_key = data_key
        self._live: dict[str, Ceremony] = {}

    def of(self, record: SessionRecord) -> Ceremony:
        """Raises NodeError request_missing or source_missing."""
        ceremony = self._live.get(record.session_id)
        if ceremony is None:
            ceremony = self._live[record.session_id] = self._rebuild(record)
        return ceremony

    def remember(self, session_id: str, ceremony: Ceremony) -> None:
        self._live[session_id] = ceremony

    def forget(self, session_id: str) -> None:
        self._live.pop(session_id, None)

    def _rebuild(self, record: SessionRecord) -> Ceremony:
        request = self._store.requests.get(record.digest)
        if request is None:
            raise NodeError("request_missing", "the request of this session is gone from the store")
        intent = Intent.parse(request.intent.encode())
        manifest = Manifest.parse(request.manifest.encode())
        source_manifest = (
            Manifest.parse(request.source_manifest.encode()) if request.source_manifest else None
        )
        context = session_context(intent, manifest, source_manifest, record.attempt, record.dealers)
        return Ceremony(
            intent,
            manifest,
            source_manifest,
            self._source(intent),
            context,
            index_of(context, self._identity.node_id),
        )

    def _source(self, intent: Intent) -> Certificate | None:
        if intent.source is None:
            return None
        source = self._store.anchors.certificate(intent.source.certificate_hash, self._data_key)
        if source is None:
            raise NodeError("source_missing", "the certificate of the source set is gone from the store")
        return source

    def stage(self, record: SessionRecord) -> str:
        """How far this node is bound: a state of its set, "" before it signed `prepared`.

        A pure dealer has no set, but its two signatures bind it as much.
        """
        held = self._store.shares.of_session(record.session_id)
        if held is not None:
            return held.state
        if record.round < ROUND_PREPARED or self.of(record).receives:
            return ""
        return PREPARED if record.round == ROUND_PREPARED else ACTIVATED

    def to_abandon(self, ceremony: Ceremony) -> list[str]:
        """Sessions that conflict with a new attempt and that this node is free to leave (R26)."""
        target = ceremony.intent.target
        held = self._store.shares.of_group(target.group_id)
        found = [each.session_id for each in set_rules.to_abandon(held, target.group_id, target.epoch)]
        return found + self._dealt(ceremony, PREPARED)

    def to_be_void(self, ceremony: Ceremony) -> list[str]:
        """Sessions that conflict with a new attempt and in which this node signed `activated` (R26)."""
        target = ceremony.intent.target
        held = self._store.shares.of_group(target.group_id)
        found = [each.session_id for each in set_rules.must_be_void(held, target.group_id, target.epoch)]
        return found + self._dealt(ceremony, ACTIVATED)

    def _dealt(self, ceremony: Ceremony, stage: str) -> list[str]:
        """Conflicting sessions in which this node only deals: it has no set, and the receivers wait for its
        word as for anybody's."""
        target, found = ceremony.intent.target, []
        for record in self._store.sessions.going_on():
            other = self.of(record)
            group_id, epoch = other.intent.target.group_id, other.context.epoch
            conflicts = group_id == target.group_id and epoch >= target.epoch
            if conflicts and not other.receives and self.stage(record) == stage:
                found.append(record.session_id)
        return found

    # state

    def _place(self, ceremony: Ceremony) -> Place:
        intent, context = ceremony.intent, ceremony.context
        return Place(
            "session",
            self._identity.node_id,
            context.domain,
            intent.vault_id,
            intent.target.group_id,
            context.epoch,
            context.session_id().hex(),
        )

    def seal(self, ceremony: Ceremony, machine: Dealing) -> bytes:
        # A finished machine has no state left; its result is the share and the certificate.
        return b"" if machine.finished else self._data_key.seal(self._place(ceremony), machine.to_bytes())

    def machine(self, record: SessionRecord, ceremony: Ceremony) -> Dealing:
        """The running protocol. Raises NodeError (see DataKey.open) and what Dealing.from_bytes raises."""
        if ceremony.machine is None:
            state = self._data_key.open(self._place(ceremony), record.sealed)
            ceremony.machine = Dealing.from_bytes(
                ceremony.context, state, self._identity.sign, source=ceremony.statement
            )
        return ceremony.machine

    # messages

    def queue(self, session_id: str, ceremony: Ceremony, step: Step) -> None:
        for message in step.outgoing:
            self.send(session_id, ceremony, type=ROUND_MESSAGE, round=message.round, body=message.body)

    def send(self, session_id: str, ceremony: Ceremony, *, type: int, round: int, body: bytes) -> None:
        """Sign a message to everybody and queue it, in the caller's transaction."""
        envelope = Envelope.seal(
            self._identity.sign,
            type=type,
            session_id=ceremony.context.session_id(),
            protocol=ceremony.context.protocol,
            round=round,
            sender=ceremony.index,
            recipient=0,
            body=body,
        )
        self._store.sessions.queue(session_id, envelope)
