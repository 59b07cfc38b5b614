"""What a request would do, in words: from its intent and the signed documents that the intent names (R8).

Nothing here comes from free text, and what the documents do not prove is not said.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dashboard.fingerprints import node_words
from tss.documents import intent_of, manifest_of, policy_of
from tss.models import TssRequest
from wire.canonical import Json
from wire.fields import WireError
from wire.intent import (
    CONVERTED,
    KEY_GEN,
    KEY_GEN_FROM_KEY_GROUP,
    POLICY_CHANGE,
    RECOVERY,
    REFRESH,
    RESHARE,
    ROLE_CHANGE,
    Intent,
)
from wire.manifest import Manifest
from wire.policy import VaultPolicy

JOINS, LEAVES, STAYS = "joins", "leaves", "stays"


@dataclass(frozen=True)
class MemberChange:
    """A holder of the target group. fate: JOINS, LEAVES or STAYS; service: run by the service itself."""

    node_id: str
    words: str
    service: bool
    fate: str


@dataclass(frozen=True)
class Change:
    """One line of "what changes"; alarm: afterwards less stands between the key and its misuse."""

    what: str
    before: str
    after: str
    alarm: bool = False


@dataclass(frozen=True)
class Meaning:
    """What the intent says. beside_service: holders needed beside the service's own (R1); operators_needed:
    how few operators could use the key afterwards (R29); digest: recomputed from the intent, hex."""

    intent: Intent
    digest: str
    sentence: str
    changes: tuple[Change, ...]
    members: tuple[MemberChange, ...]
    stays: tuple[str, ...]
    cautions: tuple[str, ...]
    beside_service: int
    operators_needed: int


def sentence_of(request: TssRequest) -> str:
    """The verb sentence alone. Raises CanonicalError or WireError for documents that somebody spoilt."""
    documents = Documents.of(request)
    return _SENTENCES[documents.intent.type](documents)


def meaning(request: TssRequest) -> Meaning:
    """All of it. Raises CanonicalError or WireError for documents that are not those of the intent."""
    documents = Documents.of(request)
    intent, manifest = documents.intent, documents.manifest
    return Meaning(
        intent=intent,
        digest=intent.digest().hex(),
        sentence=_SENTENCES[intent.type](documents),
        changes=tuple(_changes(documents)),
        members=_members(documents),
        stays=tuple(_stays(documents)),
        cautions=tuple(_cautions(documents)),
        beside_service=max(0, manifest.threshold - manifest.service_members()),
        operators_needed=intent.operators_needed,
    )


@dataclass(frozen=True)
class Documents:
    """The parsed documents of a request, each the one whose hash the intent names."""

    intent: Intent
    manifest: Manifest
    source: Manifest | None
    policy: VaultPolicy
    new_policy: VaultPolicy | None

    @classmethod
    def of(cls, request: TssRequest) -> "Documents":
        documents = cls(
            intent_of(request.intent),
            manifest_of(request.manifest),
            manifest_of(request.source_manifest) if request.source_manifest else None,
            policy_of(request.policy),
            policy_of(request.new_policy) if request.new_policy else None,
        )
        documents._check(request)
        return documents

    def _check(self, request: TssRequest) -> None:
        intent = self.intent
        source_hash = intent.source.manifest_hash if intent.source else None
        fits = {
            "digest": intent.digest().hex() == request.digest,
            "request_id": intent.request_id == request.id,
            "target.manifest_hash": self.manifest.hash() == intent.target.manifest_hash,
            "source.manifest_hash": (self.source.hash() if self.source else None) == source_hash,
            "policy_hash": self.policy.hash() == intent.policy_hash,
            "new_policy_hash": (self.new_policy.hash() if self.new_policy else b"") == intent.new_policy_hash,
        }
        for field, ok in fits.items():
            if not ok:
                raise WireError(f"intent.{field}", "does not belong to what the site stored beside it")

    @property
    def before(self) -> Manifest | None:
        """The roster that the target group has now, where it has shares already and the documents show it."""
        return self.source if self.intent.type in (REFRESH, RESHARE) else None

    @property
    def vault(self) -> str:
        return f"vault {short(self.intent.vault_id)}"

    @property
    def target(self) -> str:
        return f"{_ROLES[self.manifest.role]} group {short(self.intent.target.group_id)}"

    @property
    def quorum(self) -> str:
        return f"any {self.manifest.threshold} of its {self.manifest.participants} holders"

    @property
    def curves(self) -> str:
        return " and ".join(self.intent.curves)


def short(identifier: str) -> str:
    """The first part of a UUID, enough to tell a site's objects apart by eye."""
    return identifier.split("-")[0]


# the verb sentence of each type

_ROLES = {"main": "Main", "signing": "Signing", "recovery": "Recovery"}


def _key_gen(documents: Documents) -> str:
    return (
        f"Make a new root key ({documents.curves}) for {documents.vault}, held by {documents.target}:"
        f" {documents.quorum} will be able to use it."
    )


def _key_gen_from_key_group(documents: Documents) -> str:
    return (
        f"Give shares of the root key of {documents.vault} to the {documents.manifest.participants} holders"
        f" of {documents.target}: {documents.quorum} will be able to use the key. The Main group keeps its"
        " own shares."
    )


def _recovery(documents: Documents) -> str:
    source = documents.source
    dealers = f"the Recovery group ({source.threshold} of {source.participants})" if source else "a group"
    if documents.intent.replaces:
        number = len(documents.intent.replaces)
        what = f"and {number} lost node{'s are' if number > 1 else ' is'} replaced for ever"
    else:
        what = "which takes the old Main group's place"
    return (
        f"Let {dealers} give new shares of the root key of {documents.vault} to {documents.target}, {what}:"
        f" {documents.quorum} will be able to use the key."
    )


def _refresh(documents: Documents) -> str:
    return (
        f"Replace the shares of {documents.target} of {documents.vault} by new ones, for the same holders:"
        f" {documents.quorum} can use the key, as before."
    )


def _reshare(documents: Documents) -> str:
    members = _members(documents)
    joining, leaving = (sum(each.fate == fate for each in members) for fate in (JOINS, LEAVES))
    return (
        f"Change who holds the root key of {documents.vault} in {documents.target}: {joining} of its holders"
        f" will be new, {leaving} will be gone, and {documents.quorum} will be able to use the key."
    )


def _role_change(documents: Documents) -> str:
    old = "becomes a Signing group" if documents.intent.original_main == CONVERTED else "is retired"
    return (
        f"Make {documents.target} the Main group of {documents.vault}; the old Main group {old}. The Main"
        " group alone gives other groups shares and decides the rules."
    )


def _policy_change(documents: Documents) -> str:
    return f"Change the rules of {documents.vault}, for every request after this one."


_SENTENCES: dict[str, Callable[[Documents], str]] = {
    KEY_GEN: _key_gen,
    KEY_GEN_FROM_KEY_GROUP: _key_gen_from_key_group,
    RECOVERY: _recovery,
    REFRESH: _refresh,
    RESHARE: _reshare,
    ROLE_CHANGE: _role_change,
    POLICY_CHANGE: _policy_change,
}

# what changes


def _changes(documents: Documents) -> Iterable[Change]:
    intent, manifest = documents.intent, documents.manifest
    if intent.type == POLICY_CHANGE:
        yield from _rules(documents)
        return
    compared = documents.source if intent.type in (RESHARE, ROLE_CHANGE, KEY_GEN_FROM_KEY_GROUP) else None
    after = f"{manifest.threshold} of {manifest.participants}"
    if compared is not None:
        lower = manifest.threshold < compared.threshold
        before = f"{compared.threshold} of {compared.participants}"
        if intent.type == KEY_GEN_FROM_KEY_GROUP:
            after = f"{before} of Main, or {after} of the {_ROLES[manifest.role]} group"
        yield Change("Holders needed to use the key", before, after, lower)
    elif intent.type == KEY_GEN:
        yield Change("Holders needed to use the key", "no key yet", after)
    if intent.runs_ceremony:
        epoch = intent.target.epoch
        yield Change("Epoch of the shares", str(epoch - 1) if epoch > 1 else "none", str(epoch))
    if intent.type == ROLE_CHANGE:
        yield Change("Role of the group", "Signing", "Main")
    for retired in intent.retires:
        what = f"Shares of group {short(retired.group_id)}"
        yield Change(what, f"in use, up to epoch {retired.epoch}", "retired, erased after the time of grace")


def _rules(documents: Documents) -> Iterable[Change]:
    old = documents.policy.to_json()
    new = documents.new_policy.to_json() if documents.new_policy else old
    for name in old:
        if name not in ("predecessor", "v") and old[name] != new[name]:
            yield Change(
                _RULES.get(name, name), _value(old[name]), _value(new[name]), _looser(name, old, new)
            )


_RULES = {
    "creators": "Who may ask for what",
    "request_lifetime": "Life of a request, milliseconds",
    "required_approvals": "Approvals of source holders, at least",
    "erase_grace": "Retired shares are kept for, milliseconds",
    "shared_nodes": "One node may be in several groups",
}


def _value(value: Json) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_value(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "nobody"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _looser(name: str, before: Json, after: Json) -> bool:
    if name == "required_approvals":
        return isinstance(before, int) and isinstance(after, int) and after < before
    if name == "creators" and isinstance(before, dict) and isinstance(after, dict):
        return any(_more(after[type], before.get(type)) for type in after)
    return name == "shared_nodes" and after is True


def _more(after: Json, before: Json) -> bool:
    if not isinstance(after, list):
        return False
    return any(who not in (before if isinstance(before, list) else []) for who in after)


# members, what stays, what to think about


def _members(documents: Documents) -> tuple[MemberChange, ...]:
    intent, manifest = documents.intent, documents.manifest
    if intent.type in (POLICY_CHANGE, ROLE_CHANGE, REFRESH):
        old = set(manifest.node_ids)
    elif documents.before is not None:
        old = set(documents.before.node_ids)
    elif intent.replaces:
        old = (set(manifest.node_ids) | {each.old for each in intent.replaces}) - {
            each.new for each in intent.replaces
        }
    else:
        old = set()
    services = {card.node_id for card in manifest.holders if card.kind == "service"}
    gone = [node_id for node_id in sorted(old) if node_id not in manifest.node_ids]
    fates = {node_id: STAYS if node_id in old else JOINS for node_id in manifest.node_ids}
    return tuple(
        MemberChange(node_id, node_words(node_id), node_id in services, fate)
        for node_id, fate in (*fates.items(), *((node_id, LEAVES) for node_id in gone))
    )


def _stays(documents: Documents) -> Iterable[str]:
    intent = documents.intent
    for key in intent.expected:
        yield f"The {key.curve} root key {key.root_key.hex()} and every address below it"
    if intent.type == KEY_GEN_FROM_KEY_GROUP:
        yield "The Main group, its shares and its threshold"
    if not intent.runs_ceremony:
        yield "Every share: none is made, moved or erased"
    if intent.type == REFRESH:
        yield "The holders and the threshold"
    yield "The whole private key exists nowhere, before and after"


def _cautions(documents: Documents) -> Iterable[str]:
    intent, manifest = documents.intent, documents.manifest
    if intent.type != POLICY_CHANGE and intent.operators_needed < 2:
        yield "ONE operator alone could use the key afterwards (R29)."
    if manifest.service_members() > 0 and manifest.threshold - manifest.service_members() < 2:
        yield "With the service's own signers one single holder could use the key afterwards (R1)."
    if intent.overlap_accepted:
        yield "The Recovery holders are nearly those of Main; the requester says that this is meant (R29)."
    if intent.replaces:
        yield "A replaced node never comes back. Its other shares stay of use until changed too (R28)."
    if intent.retires:
        old = documents.before or (manifest if intent.replaces else None)
        enough = f"{old.participants - old.threshold + 1}" if old else "n - t + 1"
        yield f"An old share is worthless only once {enough} of the old holders have erased theirs (R28)."
