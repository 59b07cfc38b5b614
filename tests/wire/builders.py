"""Real identities and well-formed signed objects for tests.

Keys come from fixed seeds so that vectors stay the same.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from nacl.public import PrivateKey
from nacl.signing import SigningKey

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
    RETIRED,
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
from wire.set_statement import SetStatement

NOW = 1_700_000_000_000
DAY = 24 * 3600 * 1000
ORGANISATION = "6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a001"
VAULT = "6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a002"
GROUPS = {
    "main": "6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a003",
    "signing": "6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a005",
    "recovery": "6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a006",
}
# The generators: well-formed points that no test can take for a real key.
EXPECTED = (
    ExpectedKey(
        "secp256k1",
        bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
        sha256(b"chain code secp256k1").digest(),
    ),
    ExpectedKey("ed25519", b"\x58" + b"\x66" * 31, sha256(b"chain code ed25519").digest()),
)


def signing_key(name: str) -> SigningKey:
    return SigningKey(sha256(f"signing {name}".encode()).digest())


def signer(name: str) -> Callable[[bytes], bytes]:
    """The node's identity key: message -> 64 bytes."""
    key = signing_key(name)
    return lambda message: key.sign(message).signature


def encryption_key(name: str) -> PrivateKey:
    return PrivateKey(sha256(f"encryption {name}".encode()).digest())


def card(name: str, *, kind: str = "api", version: int = 1) -> HolderCard:
    key = signing_key(name)
    unsigned = HolderCard(
        signing_key=bytes(key.verify_key),
        encryption_key=bytes(encryption_key(name).public_key),
        kind=kind,
        version=version,
        method="node",
        signature=bytes(64),
    )
    return replace(unsigned, signature=key.sign(unsigned.signed_bytes()).signature)


def node_ids(*names: str) -> tuple[str, ...]:
    return tuple(card(name).node_id for name in names)


def manifest(*names: str, threshold: int = 2, role: str = "main", epoch: int = 1) -> Manifest:
    return Manifest(
        organisation_id=ORGANISATION,
        vault_id=VAULT,
        group_id=GROUPS[role],
        role=role,
        epoch=epoch,
        threshold=threshold,
        holders=tuple(card(name) for name in names),
    )


def policy(**changes: Any) -> VaultPolicy:
    fields: dict[str, Any] = {
        "vault_id": VAULT,
        "creators": dict.fromkeys(TYPES, ("admin", "robot")),
        "request_lifetime": DAY,
        "required_approvals": 2,
        "erase_grace": 7 * DAY,
        "shared_nodes": True,
    }
    return VaultPolicy(**(fields | changes))


def main_group(epoch: int = 1) -> Manifest:
    return manifest("alice", "bob", "carol", epoch=epoch)


def signing_group() -> Manifest:
    return manifest("dave", "erin", role="signing")


def recovery_group() -> Manifest:
    return manifest("frank", "grace", "heidi", role="recovery")


def set_hash(roster: Manifest) -> bytes:
    """Stands for the certificate hash of the set that this roster holds, 32 bytes."""
    return sha256(b"share set " + roster.encode()).digest()


def reference(roster: Manifest, certificate_hash: bytes = b"") -> GroupReference:
    return GroupReference(
        group_id=roster.group_id,
        role=roster.role,
        manifest_hash=roster.hash(),
        threshold=roster.threshold,
        participants=roster.participants,
        epoch=roster.epoch,
        certificate_hash=certificate_hash,
    )


def rosters(type: str) -> tuple[Manifest, Manifest | None]:
    """Target and source manifest of `intent(type)`."""
    return {
        KEY_GEN: (main_group(), None),
        KEY_GEN_FROM_KEY_GROUP: (signing_group(), main_group()),
        RECOVERY: (manifest("alice", "bob", "ivan", epoch=2), recovery_group()),
        REFRESH: (main_group(epoch=2), main_group()),
        RESHARE: (manifest("alice", "bob", "judy", "mallory", threshold=3, epoch=2), main_group()),
        ROLE_CHANGE: (signing_group(), main_group()),
        POLICY_CHANGE: (main_group(), main_group()),
    }[type]


def intent(type: str = KEY_GEN, **changes: Any) -> Intent:
    """A well-formed intent of the type; changes: fields that differ."""
    target, source = rosters(type)
    # What the target group holds before the request: a new one holds nothing.
    before = set_hash(signing_group() if type == ROLE_CHANGE else main_group())
    in_place = type not in (KEY_GEN, KEY_GEN_FROM_KEY_GROUP)
    replaced = type in (RECOVERY, RESHARE)
    fields: dict[str, Any] = {
        "organisation_id": ORGANISATION,
        "vault_id": VAULT,
        "request_id": "20231114221320123456789012345678",
        "type": type,
        "source": reference(source, set_hash(source)) if source else None,
        "target": reference(target, before if in_place else b""),
        "expected": EXPECTED if source else (),
        "eligible": source.node_ids if source else (),
        "replaces": (Replacement(*node_ids("carol", "ivan" if type == RECOVERY else "judy")),)
        if replaced
        else (),
        "retires": (RetiredSets(target.group_id, 1, before),) if type in (RECOVERY, REFRESH, RESHARE) else (),
        "new_policy_hash": policy(predecessor=policy().hash()).hash() if type == POLICY_CHANGE else b"",
        "original_main": RETIRED if type == ROLE_CHANGE else "",
        "operators_needed": 2,
        "curves": CURVES,
        "protocol": "" if type in (ROLE_CHANGE, POLICY_CHANGE) else protocol_of(type),
        "min_software": "0.1.0",
        "policy_hash": policy().hash(),
        "requester": Requester(kind="robot", id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a004", api_key="ab" * 32),
        "not_before": NOW,
        "expires": NOW + DAY,
        "nonce": bytes(range(32)),
        "description": "First key",
    }
    return Intent(**(fields | changes))


def approval(
    name: str, digest: bytes, decision: str = APPROVE, time: int = NOW, reason: str = ""
) -> Approval:
    return Approval.sign(
        signer(name),
        digest=digest,
        decision=decision,
        node_id=card(name).node_id,
        time=time,
        reason=reason,
    )


def set_statement(name: str, state: str = "erased") -> SetStatement:
    return SetStatement.sign(
        signer(name),
        state=state,
        vault_id=VAULT,
        group_id=GROUPS["main"],
        epoch=1,
        session_id=bytes(range(32)),
        node_id=card(name).node_id,
        time=NOW,
    )


def anchor() -> Anchor:
    return Anchor(
        organisation_id=ORGANISATION,
        vault_id=VAULT,
        certificate_hash=set_hash(main_group()),
        root_keys=EXPECTED,
        policy_hash=policy().hash(),
        main_group_id=GROUPS["main"],
        main_since=NOW,
    )
