"""What the coordinator answers, read field by field: it is only a messenger, and may be a hostile one."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mpc.certificate import MAX_CERTIFICATE_BYTES
from signers.audit_watch import ShownCheckpoint
from signers.errors import plain
from wire.canonical import Json, canonical_bytes
from wire.fields import Fields, WireError
from wire.intent import intent_digest
from wire.manifest import MAX_PARTICIPANTS
from wire.passkey import PasskeyApproval

T = TypeVar("T")
# A manifest of 100 holders has about 60 kB, and with four passkeys each ten times as much.
_MAX_MANIFEST, _MAX_INTENT, _MAX_POLICY = 1 << 20, 1 << 15, 1 << 14
_MAX_ITEMS = 4096
# Of one request: a set a week for twenty years, and as many changes of policy or role.
_MAX_CERTIFICATES, _MAX_DECREES = 1024, 256


@dataclass(frozen=True)
class DecreeDocuments:
    """A request of the vault that changed what nodes must know of it; the texts are canonical JSON.

    certificate: the encoded final one of a Recovery into another group, else empty.
    """

    intent: str
    manifest: str
    source_manifest: str
    policy: str
    new_policy: str
    decisions: tuple[Json, ...]
    certificate: bytes

    @property
    def digest(self) -> str:
        return intent_digest(self.intent.encode()).hex()

    def to_json(self) -> dict[str, Json]:
        """As the coordinator sends it."""
        decisions, certificate = list(self.decisions), b64encode(self.certificate).decode()
        return {**vars(self), "decisions": decisions, "certificate": certificate}

    @classmethod
    def read(cls, fields: Fields) -> "DecreeDocuments":
        return cls(**_texts(fields), certificate=_certificate(fields.take("certificate")))


@dataclass(frozen=True)
class Documents:
    """Everything that a node needs to judge a request; the texts are canonical JSON, "" where there is none.

    decisions: known so far; certificates: encoded, for the walk to the anchor; decrees: the oldest first.
    """

    intent: str
    manifest: str
    source_manifest: str
    policy: str
    new_policy: str
    decisions: tuple[Json, ...] = ()
    certificates: tuple[bytes, ...] = ()
    decrees: tuple[DecreeDocuments, ...] = ()

    @property
    def digest(self) -> str:
        """Of the intent's text, in hex, whether it parses or not."""
        return intent_digest(self.intent.encode()).hex()

    def proofs(self) -> str:
        """Certificates and decrees as one canonical JSON text, to keep beside the others."""
        certificates = [b64encode(each).decode() for each in self.certificates]
        decrees = [each.to_json() for each in self.decrees]
        return canonical_bytes({"certificates": certificates, "decrees": decrees}).decode()

    @classmethod
    def read(cls, fields: Fields) -> "Documents":
        """Raises WireError."""
        return cls(
            **_texts(fields),
            certificates=_certificates(fields),
            decrees=tuple(map(DecreeDocuments.read, fields.objects("decrees", max_length=_MAX_DECREES))),
        )


@dataclass(frozen=True)
class PresentedRequest:
    """An open request."""

    documents: Documents


@dataclass(frozen=True)
class Start:
    """A ceremony to join. session_id: hex; dealers: node ids, none for KeyGen."""

    session_id: str
    attempt: int
    dealers: tuple[str, ...]
    documents: Documents


@dataclass(frozen=True)
class RoundMessages:
    """The envelopes of one round. Bytes that were not base64 are empty, and fail as envelopes."""

    session_id: str
    round: int
    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class PeerAbort:
    """Another participant's ABORT envelope."""

    session_id: str
    envelope: bytes


@dataclass(frozen=True)
class Ended:
    """A ceremony that is over; certificate: encoded, or empty."""

    session_id: str
    state: str
    reason: str
    certificate: bytes


@dataclass(frozen=True)
class ItemError:
    """An item of the call that was not taken, e.g. "messages[0]"."""

    item: str
    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """The answer to one sync call."""

    requests: tuple[PresentedRequest, ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    starts: tuple[Start, ...] = ()
    messages: tuple[RoundMessages, ...] = ()
    aborts: tuple[PeerAbort, ...] = ()
    ended: tuple[Ended, ...] = ()
    # Final certificates of the newest sets of groups in which this node is or was a member (R30).
    certificates: tuple[bytes, ...] = ()
    # Votes of passkeys of this node's own holder. What does not parse is passed over.
    passkeys: tuple[PasskeyApproval, ...] = ()
    errors: tuple[ItemError, ...] = ()
    # The next checkpoint of the coordinator's audit log.
    audit: ShownCheckpoint | None = None

    @classmethod
    def parse(cls, value: Json) -> "Answer":
        """Raises WireError. Fields of a newer coordinator are passed over: nothing here is signed or
        trusted."""
        fields = Fields(value, "answer")
        return cls(
            requests=_items(fields, "requests", _request),
            closed=_items(fields, "closed", _closed),
            starts=_items(fields, "starts", _start),
            messages=_items(fields, "messages", _messages),
            aborts=_items(fields, "aborts", _abort),
            ended=_items(fields, "ended", _ended),
            certificates=_certificates(fields),
            passkeys=_passkeys(fields),
            errors=_items(fields, "errors", _error),
            audit=_shown_checkpoint(fields),
        )


@dataclass(frozen=True)
class Enrolment:
    """organisation_id: "" for a node of the service itself; name: what the coordinator calls the node."""

    organisation_id: str
    name: str

    @classmethod
    def parse(cls, value: Json) -> "Enrolment":
        """Raises WireError."""
        fields = Fields(value, "answer")
        organisation = fields.take("organisation_id")
        name = plain(fields.text("name", max_length=200, empty=True))
        if organisation is None:
            return cls("", name)
        return cls(Fields({"organisation_id": organisation}, "answer").identifier("organisation_id"), name)


def _items(fields: Fields, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
    entries = fields.list(name, max_length=_MAX_ITEMS)
    return tuple(read(Fields(entry, f"{fields.path(name)}[{i}]")) for i, entry in enumerate(entries))


def _passkeys(fields: Fields) -> tuple[PasskeyApproval, ...]:
    found = []
    for item in fields.list("passkeys", max_length=_MAX_ITEMS):
        try:
            found.append(PasskeyApproval.from_json(item))
        except WireError:
            continue
    return tuple(found)


def _texts(fields: Fields) -> dict[str, Json]:
    return {
        "intent": fields.text("intent", max_length=_MAX_INTENT),
        "manifest": fields.text("manifest", max_length=_MAX_MANIFEST),
        "source_manifest": fields.text("source_manifest", max_length=_MAX_MANIFEST, empty=True),
        "policy": fields.text("policy", max_length=_MAX_POLICY),
        "new_policy": fields.text("new_policy", max_length=_MAX_POLICY, empty=True),
        "decisions": tuple(fields.list("decisions")),
    }


def _certificates(fields: Fields) -> tuple[bytes, ...]:
    return tuple(map(_certificate, fields.list("certificates", max_length=_MAX_CERTIFICATES)))


def _certificate(value: Json) -> bytes:
    data = _base64(value)
    return data if len(data) <= MAX_CERTIFICATE_BYTES else b""


def _documents(fields: Fields) -> Documents:
    return Documents.read(Fields(fields.take("documents"), fields.path("documents")))


def _request(fields: Fields) -> PresentedRequest:
    return PresentedRequest(_documents(fields))


def _closed(fields: Fields) -> tuple[str, str]:
    return fields.hex("digest", 32).hex(), plain(fields.text("state", max_length=32))


def _start(fields: Fields) -> Start:
    return Start(
        session_id=fields.hex("session_id", 32).hex(),
        attempt=fields.integer("attempt"),
        dealers=fields.texts("dealers", max_length=MAX_PARTICIPANTS),
        documents=_documents(fields),
    )


def _messages(fields: Fields) -> RoundMessages:
    return RoundMessages(
        session_id=fields.hex("session_id", 32).hex(),
        round=fields.integer("round", high=255),
        envelopes=tuple(_base64(item) for item in fields.list("envelopes", max_length=_MAX_ITEMS)),
    )


def _abort(fields: Fields) -> PeerAbort:
    return PeerAbort(fields.hex("session_id", 32).hex(), _base64(fields.take("envelope")))


def _ended(fields: Fields) -> Ended:
    return Ended(
        session_id=fields.hex("session_id", 32).hex(),
        state=plain(fields.text("state", max_length=32)),
        reason=plain(fields.text("reason", max_length=2000, empty=True)),
        certificate=_certificate(fields.take("certificate")),
    )


def _error(fields: Fields) -> ItemError:
    return ItemError(
        item=fields.text("item", max_length=64),
        code=plain(fields.text("code", max_length=64)),
        message=plain(fields.text("message", max_length=2000, empty=True)),
    )


def _shown_checkpoint(fields: Fields) -> ShownCheckpoint | None:
    value = fields.take("audit")
    return None if value is None else ShownCheckpoint.read(Fields(value, fields.path("audit")))


def _base64(value: Json) -> bytes:
    if not isinstance(value, str):
        return b""
    try:
        return b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return b""
