"""The history of one vault: real nodes, real certificates, and requests put straight to a node's checks.

No coordinator and no runner: ceremonies run in memory, and every participant notes the outcome as the runner
would.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mpc.certificate import Certificate
from mpc.dealing import Dealing
from mpc.keyshare import KeyShare
from signers.answers import DecreeDocuments, Documents, Start
from signers.checks import CheckedRequest, Checks
from signers.database import open_database
from signers.errors import Refusal
from signers.identity import Identity
from signers.outcome import expected_keys
from signers.pins import Pin
from signers.policy import Policy, parse_policy
from signers.requests import ASK, OPERATOR, RequestRecord
from signers.sealing import DataKey, KdfCost, Keyring, Secret
from signers.store import Store
from wire.anchor import Anchor
from wire.approval import APPROVE, Approval
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
    GroupReference,
    Intent,
    Replacement,
    Requester,
    RetiredSets,
)
from wire.manifest import Manifest
from wire.policy import CREATORS, VaultPolicy
from wire.session import protocol_of, session_context

ORGANISATION, VAULT = "org-1", "vault-1"
MAIN, SIGNING, SPARE = "main-1", "signing-1", "recovery-1"
DAY = 24 * 3600 * 1000
SECRET = Secret("password", b"correct horse battery")
RULES = parse_policy(
    {"version": 1, "rule": [{"types": list(TYPES), "vaults": ["*"], "action": "ask"}]}, "https://example.com"
)
POLICY = VaultPolicy(
    vault_id=VAULT,
    creators=dict.fromkeys(TYPES, CREATORS),
    request_lifetime=DAY,
    required_approvals=2,
    erase_grace=DAY,
    shared_nodes=True,
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Member:
    """A node: its store on disk, unlocked, and what it checks with."""

    store: Store
    data_key: DataKey
    identity: Identity
    card: HolderCard
    checks: Checks

    @property
    def node_id(self) -> str:
        return self.identity.node_id


@dataclass(frozen=True)
class HeldSet:
    """The set that a group uses now."""

    manifest: Manifest
    certificate: Certificate
    shares: dict[str, KeyShare] = field(repr=False)

    def reference(self) -> GroupReference:
        context = self.certificate.statement.context
        manifest = self.manifest
        return GroupReference(
            manifest.group_id,
            manifest.role,
            manifest.hash(),
            context.threshold,
            context.receivers,
            context.epoch,
            self.certificate.hash(),
        )

    def retired(self) -> RetiredSets:
        return RetiredSets(self.manifest.group_id, self.manifest.epoch, self.certificate.hash())


@dataclass(frozen=True)
class Proposal:
    """A request as it was asked for."""

    intent: Intent
    manifest: Manifest
    source_manifest: Manifest | None
    policy: VaultPolicy
    new_policy: VaultPolicy | None = None
    decisions: tuple[Approval, ...] = ()

    def but(self, **changes: Any) -> "Proposal":
        """The same with other fields of the intent."""
        return replace(self, intent=replace(self.intent, **changes))

    def with_manifest(self, manifest: Manifest) -> "Proposal":
        """The same with another target roster, of which the intent tells the truth."""
        target = replace(
            self.intent.target,
            role=manifest.role,
            epoch=manifest.epoch,
            manifest_hash=manifest.hash(),
            threshold=manifest.threshold,
            participants=manifest.participants,
        )
        return replace(self, manifest=manifest).but(target=target)


class Lineage:
    """Nodes by name and the sets of the vault's groups by id."""

    def __init__(self, folder: Path, names: Sequence[str], kinds: dict[str, str] | None = None) -> None:
        self.members = {name: _member(folder / name, (kinds or {}).get(name, "api")) for name in names}
        for name in names:
            self.pin(name, *names)
        self.sets: dict[str, HeldSet] = {}
        self.certificates: list[Certificate] = []
        self.decrees: list[DecreeDocuments] = []
        self.policy = POLICY

    def close(self) -> None:
        for member in self.members.values():
            member.store.close()

    def id(self, name: str) -> str:
        return self.members[name].node_id

    def ids(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(self.id, names))

    def pin(self, name: str, *others: str) -> None:
        member = self.members[name]
        for other in others:
            if other != name:
                card = self.members[other].card
                keys = card.signing_key, card.encryption_key
                pin = Pin(card.node_id, *keys, card.kind, other, "test", "tester", now_ms())
                member.store.pins.add(pin, member.data_key)

    def anchor(self, name: str) -> Anchor:
        record = self.members[name].store.anchors.get(VAULT, self.members[name].data_key)
        assert record is not None
        return record.anchor

    def give_anchor(self, giver: str, *names: str) -> None:
        """What the operators of joining nodes do (R6)."""
        for name in names:
            member = self.members[name]
            member.store.anchors.pin(
                self.anchor(giver),
                checked_how="telephone",
                pinned_by="tester",
                pinned_at=now_ms(),
                data_key=member.data_key,
            )

    # requests

    def manifest(self, group: str, names: Sequence[str], threshold: int, role: str, epoch: int) -> Manifest:
        cards = tuple(self.members[name].card for name in names)
        return Manifest(ORGANISATION, VAULT, group, role, epoch, threshold, cards)

    def key_gen(self, names: Sequence[str], threshold: int = 2) -> Proposal:
        return self._propose(KEY_GEN, self.manifest(MAIN, names, threshold, "main", 1))

    def share_to(self, group: str, names: Sequence[str], threshold: int, role: str = "signing") -> Proposal:
        return self._propose(KEY_GEN_FROM_KEY_GROUP, self.manifest(group, names, threshold, role, 1), MAIN)

    def refresh(self, group: str = MAIN) -> Proposal:
        held = self.sets[group]
        manifest = replace(held.manifest, epoch=held.manifest.epoch + 1)
        return self._propose(REFRESH, manifest, group, retires=(held.retired(),))

    def reshare(
        self, names: Sequence[str], threshold: int, group: str = MAIN, replaces: dict[str, str] | None = None
    ) -> Proposal:
        held = self.sets[group]
        manifest = self.manifest(group, names, threshold, held.manifest.role, held.manifest.epoch + 1)
        return self._propose(
            RESHARE, manifest, group, retires=(held.retired(),), replaces=self.replaced(replaces or {})
        )

    def recover(self, replaces: dict[str, str], source: str = SPARE) -> Proposal:
        """Into the Main group itself; replaces: old -> new names."""
        held = self.sets[MAIN]
        new = {self.id(old): self.members[new].card for old, new in replaces.items()}
        holders = tuple(new.get(card.node_id, card) for card in held.manifest.holders)
        manifest = replace(held.manifest, epoch=held.manifest.epoch + 1, holders=holders)
        return self._propose(
            RECOVERY, manifest, source, retires=(held.retired(),), replaces=self.replaced(replaces)
        )

    def recover_into(self, group: str, names: Sequence[str], threshold: int, source: str = SPARE) -> Proposal:
        manifest = self.manifest(group, names, threshold, "main", 1)
        return self._propose(RECOVERY, manifest, source, retires=(self.sets[MAIN].retired(),))

    def change_role(self, group: str, source: str = MAIN) -> Proposal:
        return self._propose(ROLE_CHANGE, self.sets[group].manifest, source, original_main="retired")

    def change_policy(self, **changes: Any) -> Proposal:
        new = replace(self.policy, predecessor=self.policy.hash(), **changes)
        proposal = self._propose(POLICY_CHANGE, self.sets[MAIN].manifest, MAIN, new_policy_hash=new.hash())
        return replace(proposal, new_policy=new)

    def replaced(self, replaces: dict[str, str]) -> tuple[Replacement, ...]:
        return tuple(Replacement(self.id(old), self.id(new)) for old, new in replaces.items())

    def _propose(self, type: str, manifest: Manifest, source: str = "", **fields: Any) -> Proposal:
        dealing = self.sets[source] if source else None
        held = self.sets.get(manifest.group_id)
        not_before = now_ms() - 1000
        runs = type not in (ROLE_CHANGE, POLICY_CHANGE)
        intent = Intent(
            organisation_id=ORGANISATION,
            vault_id=VAULT,
            request_id=f"20260101000000{secrets.randbelow(10**18):018}",
            type=type,
            target=GroupReference(
                manifest.group_id,
                manifest.role,
                manifest.hash(),
                manifest.threshold,
                manifest.participants,
                manifest.epoch,
                held.certificate.hash() if held else b"",
            ),
            curves=CURVES,
            protocol=protocol_of(type) if runs else "",
            min_software="0.1.0",
            policy_hash=self.policy.hash(),
            requester=Requester("robot", "robot-1", "ab" * 32),
            not_before=not_before,
            expires=not_before + self.policy.request_lifetime,
            nonce=secrets.token_bytes(32),
            description="For the tests",
            operators_needed=2,
            source=dealing.reference() if dealing else None,
            expected=expected_keys(dealing.certificate.statement) if dealing else (),
            eligible=dealing.manifest.node_ids if dealing else (),
            **fields,
        )
        return Proposal(intent, manifest, dealing.manifest if dealing else None, self.policy)

    # decisions and documents

    def decide(self, proposal: Proposal, *names: str, decision: str = APPROVE) -> Proposal:
        """The same with signed decisions of these holders."""
        decisions = tuple(
            Approval.sign(
                self.members[name].identity.sign,
                digest=proposal.intent.digest(),
                decision=decision,
                node_id=self.id(name),
                time=now_ms(),
            )
            for name in names
        )
        return replace(proposal, decisions=(*proposal.decisions, *decisions))

    def documents(self, proposal: Proposal, **changes: Any) -> Documents:
        """What an honest coordinator shows."""
        new_policy = proposal.new_policy
        documents = Documents(
            intent=proposal.intent.encode().decode(),
            manifest=proposal.manifest.encode().decode(),
            source_manifest=proposal.source_manifest.encode().decode() if proposal.source_manifest else "",
            policy=proposal.policy.encode().decode(),
            new_policy=new_policy.encode().decode() if new_policy else "",
            decisions=tuple(each.to_json() for each in proposal.decisions),
            certificates=tuple(each.encode() for each in self.certificates),
            decrees=tuple(self.decrees),
        )
        return replace(documents, **changes)

    def decree(self, proposal: Proposal, certificate: bytes = b"") -> DecreeDocuments:
        shown = self.documents(proposal)
        return DecreeDocuments(
            shown.intent,
            shown.manifest,
            shown.source_manifest,
            shown.policy,
            shown.new_policy,
            shown.decisions,
            certificate,
        )

    def judge(self, name: str, proposal: Proposal, rules: Policy = RULES, **changes: Any) -> CheckedRequest:
        """What node `name` makes of the request before its decision. Raises Refusal."""
        return self.members[name].checks.request(self.documents(proposal, **changes), rules)

    def start(
        self, name: str, proposal: Proposal, dealers: Sequence[str] = (), attempt: int = 1, **changes: Any
    ) -> CheckedRequest:
        """What node `name`, whose own decision is among the proposal's, makes of a start. Raises Refusal."""
        member = self.members[name]
        documents = self.documents(proposal, **changes)
        record = RequestRecord(
            documents.digest, "", VAULT, "", "", "", "", "", "", "", ASK, "", "", received_at=now_ms()
        )
        member.store.requests.save(record)
        for decision in proposal.decisions:
            if decision.node_id == member.node_id:
                member.store.requests.add_decision(decision, OPERATOR)
        start = Start("00" * 32, attempt, self.ids(dealers), documents)
        return member.checks.start(record, start, RULES)[0]

    # history

    def run(self, proposal: Proposal, dealers: Sequence[str] = (), unseen: Sequence[str] = ()) -> HeldSet:
        """Run the ceremony; everybody in it but `unseen` notes the outcome."""
        intent, manifest = proposal.intent, proposal.manifest
        source = self.sets[intent.source.group_id] if intent.source else None
        context = session_context(intent, manifest, proposal.source_manifest, 1, self.ids(dealers))
        by_id = {member.node_id: (name, member) for name, member in self.members.items()}
        names = {each.index: by_id[each.node_id] for each in context.participants}
        dealing = {each.index for each in context.dealers}
        machines: dict[int, Dealing] = {}
        bodies: dict[int, bytes] = {}
        shares: dict[str, KeyShare] = {}
        certificate: Certificate | None = None
        for index, (name, member) in names.items():
            machines[index], step = Dealing.start(
                context,
                index,
                member.identity.sign,
                source=source.certificate.statement if source else None,
                share=source.shares[name] if source and index in dealing else None,
            )
            bodies[index] = step.outgoing[0].body
        while certificate is None:
            sent, bodies = bodies, {}
            for index, machine in machines.items():
                step = machine.receive({other: body for other, body in sent.items() if other != index})
                if step.outgoing:
                    bodies[index] = step.outgoing[0].body
                if step.pending is not None:
                    shares[names[index][0]] = step.pending
                certificate = step.certificate or certificate
        for name, member in names.values():
            if name not in unseen:
                member.store.anchors.adopted(intent, certificate, member.data_key, now_ms())
        self.certificates.append(certificate)
        self.sets[manifest.group_id] = HeldSet(manifest, certificate, shares)
        return self.sets[manifest.group_id]


def standing_vault(folder: Path) -> Lineage:
    """Main of a, b, c; signing group of d, e; recovery group of f, g, h (each 2 needed); x and y know it."""
    vault = Lineage(folder, "abcdefghxy")
    vault.run(vault.key_gen("abc"))
    vault.give_anchor("a", *"defghxy")
    vault.run(vault.share_to(SIGNING, "de", 2), "ab")
    vault.run(vault.share_to(SPARE, "fgh", 2, "recovery"), "ab")
    return vault


def refusal(judge: Callable[[], object]) -> str:
    """The code with which a node refuses."""
    with pytest.raises(Refusal) as caught:
        judge()
    return caught.value.code


def _member(folder: Path, kind: str) -> Member:
    store, identity = Store(open_database(folder)), Identity.generate()
    keyring = Keyring.create(SECRET, cost=KdfCost(operations=1, memory=8192))
    data_key = keyring.unlock(SECRET)
    card = identity.card(kind)
    store.create_identity(card, identity.sealed(data_key), keyring)
    return Member(store, data_key, identity, card, Checks(store, data_key))
