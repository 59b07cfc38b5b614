"""Real identities and well-formed signed objects for tests.

Keys come from fixed seeds so that vectors stay the same.
"""

from dataclasses import replace
from hashlib import sha256

from nacl.public import PrivateKey
from nacl.signing import SigningKey

from wire.identity import HolderCard
from wire.intent import CURVES, KeyGenIntent, Requester, Target
from wire.manifest import Manifest
from wire.policy import VaultPolicy

NOW = 1_700_000_000_000
DAY = 24 * 3600 * 1000


def signing_key(name: str) -> SigningKey:
    return SigningKey(sha256(f"signing {name}".encode()).digest())


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


def manifest(*names: str, threshold: int = 2) -> Manifest:
    return Manifest(
        organisation_id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a001",
        vault_id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a002",
        group_id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a003",
        role="main",
        epoch=1,
        threshold=threshold,
        holders=tuple(card(name) for name in names),
    )


def policy() -> VaultPolicy:
    return VaultPolicy(
        vault_id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a002", request_types=("KeyGen",), request_lifetime=DAY
    )


def intent(roster: Manifest) -> KeyGenIntent:
    return KeyGenIntent(
        organisation_id=roster.organisation_id,
        vault_id=roster.vault_id,
        request_id="20231114221320123456789012345678",
        target=Target(
            group_id=roster.group_id,
            role=roster.role,
            manifest_hash=roster.hash(),
            threshold=roster.threshold,
            participants=roster.participants,
            epoch=roster.epoch,
        ),
        curves=CURVES,
        protocol="keygen/1",
        min_software="0.1.0",
        policy_hash=policy().hash(),
        requester=Requester(kind="robot", id="6d3f0c4e-9f43-4c5b-8a6f-6a1f64a6a004", api_key="ab" * 32),
        not_before=NOW,
        expires=NOW + DAY,
        nonce=bytes(range(32)),
        description="First key",
    )
