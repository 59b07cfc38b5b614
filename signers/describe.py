"""A request in words, recomputed by this node from the intent's own text (R10)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mnemonic import Mnemonic

from signers.answers import Documents
from signers.errors import plain
from signers.lookalikes import mixed_words
from signers.pins import Pin
from wire.canonical import Json
from wire.electorate import SOURCE, votes
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


def digest_words(digest: bytes) -> str:
    """Twelve words for the first 128 bits of a digest, to compare with other holders."""
    return Mnemonic("english").to_mnemonic(digest[:16])


def utc(milliseconds: int) -> str:
    """A moment for people; milliseconds: Unix time."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"


def describe(documents: Documents, pins: Mapping[str, Pin], own_id: str) -> str:
    """What the request would do, for the person who decides. Raises CanonicalError or WireError."""
    request = _Request.of(documents, pins, own_id)
    intent = request.intent
    digest = intent.digest()
    lines = [
        *_WHAT[intent.type](request),
        "",
        *_row("request", intent.request_id),
        *_row("organisation", intent.organisation_id),
        *_row("vault", intent.vault_id),
        *_row("group", f"{intent.target.group_id}, {intent.target.role}, {_epochs(request)}"),
        *_row("protocol", f"{intent.protocol or 'none'}, software {intent.min_software} or newer"),
        *_row("asked by", f"{intent.requester.kind} {plain(intent.requester.id)}"),
        *_row("says", plain(intent.description) or "(nothing)"),
        *_lookalikes(intent.description),
        *_row("valid", f"{utc(intent.not_before)} to {utc(intent.expires)}"),
        "",
        *_consent(request),
        *_consequences(request),
        "",
        "Holders:" if intent.runs_ceremony else "Holders, as they are:",
        *request.roster(request.manifest),
        "",
        *_row("digest", digest.hex()),
        *_row("words", digest_words(digest)),
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Request:
    """The parsed documents, and how the operator calls the nodes."""

    intent: Intent
    manifest: Manifest
    source: Manifest | None
    policy: VaultPolicy
    new_policy: VaultPolicy | None
    pins: Mapping[str, Pin]
    own_id: str

    @classmethod
    def of(cls, documents: Documents, pins: Mapping[str, Pin], own_id: str) -> "_Request":
        source, new_policy = documents.source_manifest, documents.new_policy
        return cls(
            Intent.parse(documents.intent.encode()),
            Manifest.parse(documents.manifest.encode()),
            Manifest.parse(source.encode()) if source else None,
            VaultPolicy.parse(documents.policy.encode()),
            VaultPolicy.parse(new_policy.encode()) if new_policy else None,
            pins,
            own_id,
        )

    @property
    def in_place(self) -> bool:
        return self.intent.type in (REFRESH, RESHARE)

    def name(self, node_id: str) -> str:
        if node_id == self.own_id:
            return f"{node_id}  this node"
        pin = self.pins.get(node_id)
        return f"{node_id}  {plain(pin.label) if pin else 'NOT PINNED'}"

    def roster(self, manifest: Manifest) -> list[str]:
        return [
            f"  {index}. {self.name(card.node_id)}"
            + (", run by the service" if card.kind == "service" else "")
            for index, card in enumerate(manifest.holders, start=1)
        ]

    def names(self, node_ids: Iterable[str]) -> list[str]:
        return [f"  - {self.name(node_id)}" for node_id in node_ids]


# what each type does


def _key_gen(request: _Request) -> list[str]:
    return [
        f"KeyGen: make a new root key ({_curves(request)}) for the {request.manifest.role} group.",
        *_who_can_use(request),
    ]


def _key_gen_from_key_group(request: _Request) -> list[str]:
    return [
        f"KeyGenFromKeyGroup: the Main group gives a new {request.manifest.role} group shares of the same"
        f" root key ({_curves(request)}).",
        "The Main group keeps its own shares. Whoever can use either group can use the key.",
        *_who_can_use(request),
    ]


def _recovery(request: _Request) -> list[str]:
    if request.intent.replaces:
        first = "Recovery: a Recovery group gives the Main group new shares, and new nodes replace lost ones."
    else:
        first = "Recovery: a Recovery group gives another group new shares; it takes the Main group's place."
    return [
        first,
        f"Root keys and addresses stay what they are ({_curves(request)}).",
        *_replacements(request),
        *_who_can_use(request),
    ]


def _refresh(request: _Request) -> list[str]:
    return [
        f"Refresh: new shares of the same root key ({_curves(request)}) for the same holders.",
        *_who_can_use(request),
    ]


def _reshare(request: _Request) -> list[str]:
    before = request.source.node_ids if request.source else ()
    after = request.manifest.node_ids
    replaced = {each.old for each in request.intent.replaces} | {each.new for each in request.intent.replaces}
    removed = [node_id for node_id in before if node_id not in after and node_id not in replaced]
    added = [node_id for node_id in after if node_id not in before and node_id not in replaced]
    lines = [
        f"Reshare: change the members or the threshold of the {request.manifest.role} group.",
        f"Root keys and addresses stay what they are ({_curves(request)}).",
        *_threshold_change(request),
        *_replacements(request),
    ]
    if removed:
        lines += ["Removed:", *request.names(removed)]
    if added:
        lines += ["Added:", *request.names(added)]
    return [*lines, *_who_can_use(request)]


def _role_change(request: _Request) -> list[str]:
    old = "becomes a signing group" if request.intent.original_main == CONVERTED else "is retired"
    return [
        f"RoleChange: group {request.intent.target.group_id} becomes the Main group; the old one {old}.",
        "No share is made or erased. The Main group alone gives other groups shares and decides the rules.",
        *_threshold_change(request),
        *_who_can_use(request),
    ]


def _policy_change(request: _Request) -> list[str]:
    lines = ["PolicyChange: the vault's rules change, for every request after this one:"]
    old: dict[str, Json] = request.policy.to_json()
    new: dict[str, Json] = request.new_policy.to_json() if request.new_policy else old
    for name in old:
        if name != "predecessor" and old[name] != new[name]:
            lines.append(f"  {name}: {old[name]} -> {new[name]}")
    return lines if len(lines) > 1 else [*lines, "  nothing"]


_WHAT = {
    KEY_GEN: _key_gen,
    KEY_GEN_FROM_KEY_GROUP: _key_gen_from_key_group,
    RECOVERY: _recovery,
    REFRESH: _refresh,
    RESHARE: _reshare,
    ROLE_CHANGE: _role_change,
    POLICY_CHANGE: _policy_change,
}

# what belongs to several types


def _curves(request: _Request) -> str:
    return " and ".join(request.intent.curves)


def _epochs(request: _Request) -> str:
    epoch = request.intent.target.epoch
    new = request.intent.runs_ceremony and epoch > 1
    return f"epoch {epoch - 1} -> {epoch}" if new else f"epoch {epoch}"


def _who_can_use(request: _Request) -> list[str]:
    manifest = request.manifest
    beside_service = max(0, manifest.threshold - manifest.service_members())
    return [
        f"Any {manifest.threshold} of its {manifest.participants} holders can use it.",
        f"Holders needed beside the service: {beside_service}.",  # R1
        f"Operators needed after this, over all groups: {request.intent.operators_needed}.",  # R29
    ]


def _threshold_change(request: _Request) -> list[str]:
    old, new = request.source, request.manifest
    if old is None:
        return []
    counts = [f"{each.threshold} of {each.participants}" for each in (old, new)]
    lines = [f"Holders needed: {' -> '.join(counts)}."]
    if new.threshold < old.threshold:
        lines.append(f"WARNING: FEWER HOLDERS ARE NEEDED: {new.threshold} INSTEAD OF {old.threshold}.")
    return lines


def _replacements(request: _Request) -> list[str]:
    lines = []
    for each in request.intent.replaces:
        lines += ["Replaced for ever:", f"  - {request.name(each.old)}", f"  + {request.name(each.new)}"]
    return lines


def _consent(request: _Request) -> list[str]:
    """Who must approve and who deals."""
    lines = []
    for vote in votes(request.intent, request.manifest, request.policy):
        side = "the source group" if vote.side == SOURCE else "the group"
        who = "all" if vote.unanimous else f"{vote.needed}"
        lines += [f"Must approve: {who} of these {len(vote.node_ids)} holders of {side}:"]
        lines += request.names(vote.node_ids)
    source = request.intent.source
    if request.intent.runs_ceremony and source is not None:
        lines.append(
            f"Deal: {source.threshold} of the eligible holders of group {source.group_id} ({source.role},"
            f" {source.threshold} of {source.participants}, epoch {source.epoch})."
        )
    return lines


def _consequences(request: _Request) -> list[str]:
    """What becomes of old shares (R26, R28), and what the requester was warned of (R29)."""
    lines = []
    for each in request.intent.retires:
        lines.append(
            f"Retired: the shares of group {each.group_id} up to epoch {each.epoch}, erased by each holder"
            " once it holds the new certificate and the time of grace is over."
        )
    if request.intent.retires:
        lines.append(_worthless(request))
    if request.intent.overlap_accepted:
        lines.append("NOTE: the Recovery holders are nearly those of Main; the requester accepts that.")
    return lines


def _worthless(request: _Request) -> str:
    before = request.source if request.in_place else request.manifest if request.intent.replaces else None
    if before is None:
        return "An old share becomes worthless only when n - t + 1 of the old holders have erased theirs."
    enough = before.participants - before.threshold + 1
    return (
        f"An old share becomes worthless only when {enough} of the {before.participants} old holders have"
        " erased theirs."
    )


def _lookalikes(text: str) -> list[str]:
    """A13: letters of several alphabets in one word may be there to be taken for others."""
    mixed = mixed_words(plain(text))
    return [f"WARNING: LOOK-ALIKE LETTERS in what the requester says: {', '.join(mixed)}"] if mixed else []


def _row(name: str, value: str) -> list[str]:
    return [f"{name:<13}{value}"]
