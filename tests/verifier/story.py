"""A vault's life as real documents: every request type, with real ceremonies, approvals and certificates."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mpc.certificate import Certificate
from mpc.session import Sign
from tests.mpc.ceremony import Ceremony
from tests.wire.builders import (
    ORGANISATION,
    VAULT,
    approval,
    card,
    intent,
    manifest,
    policy,
    reference,
    signer,
)
from wire.anchor import Anchor
from wire.electorate import voters, votes
from wire.intent import ExpectedKey, GroupReference, Intent, Replacement, RetiredSets
from wire.manifest import Manifest
from wire.policy import VaultPolicy
from wire.session import session_context

NAMES = {
    card(name).node_id: name
    for name in (
        "alice",
        "bob",
        "carol",
        "dave",
        "erin",
        "frank",
        "grace",
        "heidi",
        "ivan",
        "judy",
        "mallory",
    )
}
FIRST_POLICY = policy()
SECOND_POLICY = policy(required_approvals=3, predecessor=FIRST_POLICY.hash())

Document = dict[str, Any]


class NamedCeremony(Ceremony):
    """A ceremony of the holders of tests.wire.builders."""

    def signer(self, index: int) -> Sign:
        return signer(NAMES[self.context.participants[index - 1].node_id])


def node_id(name: str) -> str:
    return card(name).node_id


def b64(certificate: Certificate) -> str:
    return base64.b64encode(certificate.encode()).decode()


@dataclass
class Held:
    """A group, its roster, and the ceremony that made its set."""

    roster: Manifest
    ceremony: NamedCeremony
    path: tuple[Certificate, ...]

    @property
    def certificate(self) -> Certificate:
        return self.path[-1]

    def reference(self) -> GroupReference:
        return reference(self.roster, self.certificate.hash())

    def retired(self) -> tuple[RetiredSets, ...]:
        return (RetiredSets(self.roster.group_id, self.roster.epoch, self.certificate.hash()),)


@dataclass
class Vault:
    """Runs requests and keeps their documents by name."""

    documents: dict[str, Document] = field(default_factory=dict)
    groups: dict[str, Held] = field(default_factory=dict)
    keys: tuple[ExpectedKey, ...] = ()

    def run(
        self,
        name: str,
        type: str,
        target: Manifest,
        source: Held | None = None,
        before: Held | None = None,
        dealers: Sequence[str] = (),
        **changes: Any,
    ) -> Held:
        """A request that makes a set; source, before: the set that deals, and the one that target held."""
        wanted = self._intent(type, reference(target, _hash(before)), source, **changes)
        ids = [node_id(each) for each in dealers]
        source_roster = source.roster if source else None
        context = session_context(wanted, target, source_roster, 1, ids)
        statement = source.certificate.statement if source else None
        held = (
            {each.index: source.ceremony.shares[each.source_index] for each in context.dealers}
            if source
            else {}
        )
        ceremony = NamedCeremony(context, statement, held)
        ceremony.run_until(4)
        path = (*(source.path if source else ()), ceremony.certificate)
        made = Held(target, ceremony, path)
        if source is None:
            curves = ceremony.statement.curves
            self.keys = tuple(ExpectedKey(each.curve, each.root_key, each.chain_code) for each in curves)
        self._keep(name, wanted, target, source, before, ceremony.certificate, dealers)
        self.groups[target.group_id] = made
        return made

    def decree(self, name: str, type: str, target: Held, source: Held, **changes: Any) -> None:
        wanted = self._intent(type, target.reference(), source, **changes)
        approving = [NAMES[each] for each in source.roster.node_ids[: source.roster.threshold]]
        self._keep(name, wanted, target.roster, source, target, None, approving)

    def anchor(self) -> Anchor:
        key_gen = self.documents["KeyGen"]["certificate"]
        return Anchor(
            organisation_id=ORGANISATION,
            vault_id=VAULT,
            certificate_hash=Certificate.parse(base64.b64decode(key_gen)).hash(),
            root_keys=self.keys,
            policy_hash=FIRST_POLICY.hash(),
            main_group_id=json.loads(self.documents["KeyGen"]["manifest"])["group_id"],
            main_since=self.documents["KeyGen"]["intent"]["not_before"],
        )

    def _intent(self, type: str, target: GroupReference, source: Held | None, **changes: Any) -> Intent:
        return intent(
            type,
            target=target,
            source=source.reference() if source else None,
            expected=self.keys if source else (),
            eligible=source.roster.node_ids if source else (),
            **({"replaces": (), "retires": ()} | changes),
        )

    def _keep(
        self,
        name: str,
        wanted: Intent,
        target: Manifest,
        source: Held | None,
        before: Held | None,
        certificate: Certificate | None,
        dealers: Sequence[str],
    ) -> None:
        new_policy = SECOND_POLICY if wanted.new_policy_hash else None
        self.documents[name] = {
            "intent": wanted.to_json(),
            "canonical": wanted.encode().decode(),
            "digest": wanted.digest().hex(),
            "manifest": target.encode().decode(),
            "source_manifest": source.roster.encode().decode() if source else "",
            "policy": FIRST_POLICY.encode().decode(),
            "new_policy": new_policy.encode().decode() if new_policy else "",
            "approvals": approvals(wanted, target, FIRST_POLICY, dealers),
            "certificate": b64(certificate) if certificate else "",
            "certificates": ancestors(source, before),
        }


def _hash(held: Held | None) -> bytes:
    return held.certificate.hash() if held else b""


def ancestors(*sets: Held | None) -> list[str]:
    """The certificates of these sets and of all before them, KeyGen first, each once."""
    return list(dict.fromkeys(b64(each) for held in sets if held for each in held.path))


def approvals(
    wanted: Intent, target: Manifest, rules: VaultPolicy, source_names: Sequence[str]
) -> list[dict[str, Any]]:
    """As few as win every vote: of the source holders only `source_names`."""
    everybody = voters(votes(wanted, target, rules))
    ids = {node_id(name) for name in source_names}
    if wanted.runs_ceremony:
        ids |= set(target.node_ids)
    elif wanted.type == "RoleChange":
        ids |= set(target.node_ids[: target.threshold])
    digest = wanted.digest()
    return [approval(NAMES[each], digest).to_json() for each in everybody if each in ids]


@cache
def vault() -> Vault:
    """One of every request, each resting on the sets that those before it made."""
    made = Vault()
    main = made.run("KeyGen", "KeyGen", manifest("alice", "bob", "carol"))
    signing = made.run(
        "KeyGenFromKeyGroup",
        "KeyGenFromKeyGroup",
        manifest("dave", "erin", role="signing"),
        source=main,
        dealers=("alice", "bob"),
    )
    recovery = made.run(
        "KeyGenFromKeyGroup (recovery)",
        "KeyGenFromKeyGroup",
        manifest("frank", "grace", "heidi", role="recovery"),
        source=main,
        dealers=("alice", "carol"),
    )
    main = made.run(
        "Recovery",
        "Recovery",
        manifest("alice", "bob", "ivan", epoch=2),
        source=recovery,
        before=main,
        dealers=("frank", "heidi"),
        replaces=(Replacement(node_id("carol"), node_id("ivan")),),
        retires=main.retired(),
    )
    main = made.run(
        "Refresh",
        "Refresh",
        manifest("alice", "bob", "ivan", epoch=3),
        source=main,
        before=main,
        dealers=("bob", "ivan"),
        retires=main.retired(),
    )
    main = made.run(
        "Reshare",
        "Reshare",
        manifest("alice", "bob", "judy", "mallory", threshold=3, epoch=4),
        source=main,
        before=main,
        dealers=("bob", "ivan"),
        replaces=(Replacement(node_id("ivan"), node_id("judy")),),
        retires=main.retired(),
    )
    made.decree("PolicyChange", "PolicyChange", main, main, new_policy_hash=SECOND_POLICY.hash())
    made.decree("RoleChange", "RoleChange", signing, main, original_main="retired")
    return made
