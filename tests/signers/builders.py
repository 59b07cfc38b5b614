"""Valid requests of every type, as an honest coordinator would make them for the groups that it knows."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.signers.mailbox import Group, Request
from wire.identity import HolderCard
from wire.intent import (
    CURVES,
    KEY_GEN,
    KEY_GEN_FROM_KEY_GROUP,
    POLICY_CHANGE,
    RECOVERY,
    REFRESH,
    RESHARE,
    ROLE_CHANGE,
    TYPES,
    ExpectedKey,
    GroupReference,
    Intent,
    Replacement,
    Requester,
    RetiredSets,
)
from wire.manifest import Manifest
from wire.policy import VaultPolicy
from wire.session import protocol_of

if TYPE_CHECKING:
    from tests.signers.world import World

DAY = 24 * 3600 * 1000
ORGANISATION, VAULT, GROUP = "org-1", "vault-1", "group-1"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def vault_policy(vault_id: str = VAULT, **changes: Any) -> VaultPolicy:
    """Anybody may ask for anything; retired shares are erased at once."""
    policy = VaultPolicy(
        vault_id=vault_id,
        creators=dict.fromkeys(TYPES, ("admin", "robot")),
        request_lifetime=DAY,
        required_approvals=2,
        erase_grace=0,
        shared_nodes=True,
    )
    return replace(policy, **changes)


def key_gen(manifest: Manifest, policy: VaultPolicy, **changes: Any) -> Request:
    intent = _intent(KEY_GEN, manifest, policy, **changes)
    return Request(intent, manifest, policy)


class Builders:
    """Requests about the groups of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.policy = vault_policy()

    def share_to(
        self,
        group_id: str,
        names: Sequence[str],
        threshold: int = 2,
        role: str = "signing",
        source: str = GROUP,
        **changes: Any,
    ) -> Request:
        """KeyGenFromKeyGroup into a new group."""
        manifest = self._roster(group_id, role, 1, threshold, names)
        return self._from(KEY_GEN_FROM_KEY_GROUP, source, manifest, **changes)

    def refresh(self, group_id: str = GROUP, **changes: Any) -> Request:
        group = self._group(group_id)
        manifest = replace(group.manifest, epoch=group.manifest.epoch + 1)
        return self._from(REFRESH, group_id, manifest, **{**self._in_place(group), **changes})

    def reshare(
        self, names: Sequence[str], threshold: int = 2, group_id: str = GROUP, **changes: Any
    ) -> Request:
        """Other members, or another threshold, of the same group."""
        group = self._group(group_id)
        old = group.manifest
        manifest = self._roster(group_id, old.role, old.epoch + 1, threshold, names)
        return self._from(RESHARE, group_id, manifest, **{**self._in_place(group), **changes})

    def recovery(
        self, replaced: Mapping[str, str], source: str, group_id: str = GROUP, **changes: Any
    ) -> Request:
        """In place: old name -> new name."""
        group = self._group(group_id)
        new = {self._world.node_id(old): self._world.card(new) for old, new in replaced.items()}
        holders = tuple(new.get(card.node_id, card) for card in group.manifest.holders)
        manifest = replace(group.manifest, epoch=group.manifest.epoch + 1, holders=holders)
        replaces = tuple(
            Replacement(self._world.node_id(old), self._world.node_id(new)) for old, new in replaced.items()
        )
        return self._from(
            RECOVERY, source, manifest, **{**self._in_place(group), "replaces": replaces, **changes}
        )

    def recovery_into(
        self, group_id: str, names: Sequence[str], source: str, old_main: str = GROUP, **changes: Any
    ) -> Request:
        """Into another Main group, which takes the place of the lost one."""
        manifest = self._roster(group_id, "main", 1, 2, names)
        retires = self._in_place(self._group(old_main))["retires"]
        return self._from(RECOVERY, source, manifest, retires=retires, **changes)

    def role_change(self, group_id: str, source: str = GROUP) -> Request:
        manifest = self._group(group_id).manifest
        return self._from(ROLE_CHANGE, source, manifest, original_main="retired")

    def policy_change(self, group_id: str = GROUP, **changes: Any) -> Request:
        new = replace(self.policy, predecessor=self.policy.hash(), **changes)
        request = self._from(
            POLICY_CHANGE, group_id, self._group(group_id).manifest, new_policy_hash=new.hash()
        )
        return replace(request, new_policy=new)

    # parts

    def _group(self, group_id: str) -> Group:
        return self._world.mailbox.groups[group_id]

    def _roster(self, group_id: str, role: str, epoch: int, threshold: int, names: Sequence[str]) -> Manifest:
        cards: tuple[HolderCard, ...] = tuple(map(self._world.card, names))
        return Manifest(ORGANISATION, VAULT, group_id, role, epoch, threshold, cards)

    def _in_place(self, group: Group) -> dict[str, Any]:
        retired = RetiredSets(
            group.manifest.group_id, group.certificate.statement.context.epoch, group.certificate.hash()
        )
        return {"retires": (retired,)}

    def _from(self, type: str, source_id: str, manifest: Manifest, **changes: Any) -> Request:
        source = self._group(source_id)
        held = self._world.mailbox.groups.get(manifest.group_id)
        fields: dict[str, Any] = {
            "source": _reference(source.manifest, source.certificate.hash()),
            "target": _reference(manifest, held.certificate.hash() if held else b""),
            "expected": tuple(
                ExpectedKey(each.curve, each.root_key, each.chain_code)
                for each in source.certificate.statement.curves
            ),
            "eligible": source.manifest.node_ids,
        }
        intent = _intent(type, manifest, self.policy, **{**fields, **changes})
        return self._world.mailbox.add(Request(intent, manifest, self.policy, source.manifest))


def _reference(manifest: Manifest, certificate_hash: bytes = b"") -> GroupReference:
    return GroupReference(
        manifest.group_id,
        manifest.role,
        manifest.hash(),
        manifest.threshold,
        manifest.participants,
        manifest.epoch,
        certificate_hash,
    )


def _intent(type: str, manifest: Manifest, policy: VaultPolicy, **changes: Any) -> Intent:
    not_before = now_ms() - 1000
    intent = Intent(
        organisation_id=manifest.organisation_id,
        vault_id=manifest.vault_id,
        request_id=f"20260101000000{secrets.randbelow(10**18):018}",
        type=type,
        target=_reference(manifest),
        curves=CURVES,
        protocol="" if type in (ROLE_CHANGE, POLICY_CHANGE) else protocol_of(type),
        min_software="0.1.0",
        policy_hash=policy.hash(),
        requester=Requester("robot", "robot-1", "ab" * 32),
        not_before=not_before,
        expires=not_before + DAY,
        nonce=secrets.token_bytes(32),
        description="A key for the tests",
        operators_needed=2,
        overlap_accepted=True,
    )
    return replace(intent, **changes)
