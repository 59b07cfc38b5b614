"""A request before it has an id: whose shares, which roster, who deals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tss.models import ShareSet
from vaults.models import Group, Holder
from wire.intent import ExpectedKey, GroupReference, Replacement, RetiredSets
from wire.manifest import Manifest


@dataclass(frozen=True)
class HeldSet:
    """The share set that a group uses now, and the roster that holds it."""

    group: Group
    share_set: ShareSet
    manifest: Manifest

    @property
    def certificate_hash(self) -> bytes:
        return bytes.fromhex(self.share_set.certificate_hash)

    def reference(self) -> GroupReference:
        """How an intent names it as source."""
        return reference(self.manifest, self.certificate_hash)

    def retired(self) -> RetiredSets:
        return RetiredSets(str(self.group.id), self.share_set.epoch, self.certificate_hash)


@dataclass(frozen=True)
class Source:
    """eligible: the holders that may vote and deal, the preferred first (R21)."""

    held: HeldSet
    eligible: Sequence[Holder]


@dataclass(frozen=True)
class Seat:
    """What people call a holder of the target roster, and whether it routinely signs."""

    name: str
    signer: bool


@dataclass(frozen=True)
class Draft:
    """manifest: the target's roster as it would be; held: what the target holds before; seats: by node id;
    told: names, by node id, of old holders who have no vote (R17)."""

    target: Group
    manifest: Manifest
    seats: Mapping[str, Seat]
    held: HeldSet | None = None
    source: Source | None = None
    expected: tuple[ExpectedKey, ...] = ()
    replaces: tuple[Replacement, ...] = ()
    retires: tuple[RetiredSets, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    new_policy: str = ""
    new_policy_hash: bytes = b""
    original_main: str = ""

    def target_reference(self) -> GroupReference:
        """How the intent names the target: by the set that it holds before, none when it holds none."""
        return reference(self.manifest, self.held.certificate_hash if self.held else b"")


def reference(manifest: Manifest, certificate_hash: bytes) -> GroupReference:
    return GroupReference(
        group_id=manifest.group_id,
        role=manifest.role,
        manifest_hash=manifest.hash(),
        threshold=manifest.threshold,
        participants=manifest.participants,
        epoch=manifest.epoch,
        certificate_hash=certificate_hash,
    )
