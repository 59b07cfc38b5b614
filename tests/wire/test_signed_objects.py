"""Cards, manifests, intents, approvals: one byte string each, and every field counts (R4, R7-R9, P09)."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.wire.builders import NOW, card, intent, manifest, policy, signing_key
from wire.approval import Approval
from wire.canonical import CanonicalError, canonical_bytes
from wire.fields import WireError
from wire.identity import HolderCard, fingerprint_words, node_id
from wire.intent import KeyGenIntent, intent_digest
from wire.manifest import Manifest
from wire.policy import VaultPolicy

ROSTER = manifest("alice", "bob", "carol")


def test_published_vectors() -> None:
    """The values that docs/protocol.md publishes; a change here is a change of the protocol."""
    alice = card("alice")
    words = "quick want humor loyal feel whisper airport filter pioneer ready boil water"
    assert alice.node_id == "quoCq39hwkcHAukzRhDZwBRtLEoroAuS1Rgvz3YNyqiS4VX"
    assert fingerprint_words(alice.signing_key, alice.encryption_key) == words
    assert ROSTER.hash().hex() == "5e89bb3c9f4736525e4d9e33b5af25454ba66b1d5dad44ceb59bf924dd614ea5"
    assert policy().hash().hex() == "44fb58780886c9a23426985ae31a5403ca20b535b847d95cd009fec4a3de3add"
    assert intent(ROSTER).digest().hex() == "9b0c55ca4c8156d474cb737ae5e89d46ea8556d9aed0a88096271f7f71efca39"


def test_round_trips() -> None:
    assert HolderCard.from_json(card("alice").to_json()) == card("alice")
    assert Manifest.parse(ROSTER.encode()) == ROSTER
    assert KeyGenIntent.parse(intent(ROSTER).encode()) == intent(ROSTER)
    assert VaultPolicy.parse(policy().encode()) == policy()


def test_r4_a_card_cannot_claim_another_id() -> None:
    value = card("alice").to_json()
    value["card"]["node_id"] = card("bob").node_id
    with pytest.raises(WireError, match="node_id"):
        HolderCard.from_json(value)


def test_r4_ids_bind_both_keys() -> None:
    alice, bob = card("alice"), card("bob")
    ids = {
        node_id(s, e)
        for s in (alice.signing_key, bob.signing_key)
        for e in (alice.encryption_key, bob.encryption_key)
    }
    assert len(ids) == 4


@pytest.mark.parametrize("field", ["signing_key", "encryption_key", "kind", "version"])
def test_r7_a_card_changed_after_signing_is_refused(field: str) -> None:
    value = card("alice").to_json()
    other = card("bob", kind="service", version=2).body()
    value["card"][field] = other[field]
    value["card"]["node_id"] = node_id(
        bytes.fromhex(value["card"]["signing_key"]), bytes.fromhex(value["card"]["encryption_key"])
    )
    with pytest.raises(WireError, match="signature"):
        HolderCard.from_json(value)


def test_p04_r7_one_identity_under_two_holders_makes_the_manifest_invalid() -> None:
    twice = replace(ROSTER, holders=(card("alice"), card("bob"), card("alice")))
    with pytest.raises(WireError, match="same node_id"):
        Manifest.parse(twice.encode())


def test_manifest_indices_and_counts_are_checked() -> None:
    value = ROSTER.to_json()
    value["holders"][0]["index"], value["holders"][1]["index"] = 2, 1
    with pytest.raises(WireError, match="index"):
        Manifest.parse(canonical_bytes(value))
    for changes in (
        {"participants": 2},
        {"participants": 4},
        {"threshold": 4},
        {"threshold": 0},
        {"threshold": True},
    ):
        with pytest.raises(WireError):
            Manifest.parse(canonical_bytes(ROSTER.to_json() | changes))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every scalar in a JSON value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path


def changed(value: Any) -> Any:
    """Another value of the same kind, so that only its content differs."""
    if isinstance(value, bool) or value is None:
        return "x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return ["x"]
    if value and all(c in "0123456789abcdef" for c in value):
        return ("1" if value[0] != "1" else "2") + value[1:]
    return value + "x"


INTENT_LEAVES = list(leaves(intent(ROSTER).to_json()))


@pytest.mark.parametrize("path", INTENT_LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_p09_every_field_of_the_intent_is_in_the_digest(path: tuple[Any, ...]) -> None:
    value = copy.deepcopy(intent(ROSTER).to_json())
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = changed(holder[path[-1]])
    assert intent_digest(canonical_bytes(value)) != intent(ROSTER).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"v": 2},
        {"v": "1"},
        {"type": "Sign"},
        {"domain": "wallet"},
        {"curves": ["p256"]},
        {"curves": ["ed25519", "ed25519"]},
        {"policy_hash": "AB" * 32},
        {"nonce": "00"},
        {"not_before": 1.5},
        {"source": {}},
        {"retires": ["x"]},
    ],
    ids=str,
)
def test_r8_unknown_or_malformed_fields_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((WireError, CanonicalError)):
        KeyGenIntent.parse(canonical_bytes(intent(ROSTER).to_json() | changes))


def test_r8_a_missing_field_is_named() -> None:
    value = intent(ROSTER).to_json()
    del value["nonce"]
    with pytest.raises(WireError, match=r"intent\.nonce"):
        KeyGenIntent.parse(canonical_bytes(value))


def test_15_intent_must_be_canonical_bytes() -> None:
    with pytest.raises(CanonicalError, match="canonical"):
        KeyGenIntent.parse(json.dumps(intent(ROSTER).to_json()).encode())


def approval(decision: str = "approve") -> Approval:
    key = signing_key("alice")
    return Approval.sign(
        lambda message: key.sign(message).signature,
        digest=intent(ROSTER).digest(),
        decision=decision,
        node_id=card("alice").node_id,
        time=NOW,
    )


def test_approval_verifies_and_round_trips() -> None:
    signed = approval()
    assert signed.verify(card("alice").signing_key)
    assert not signed.verify(card("bob").signing_key)
    assert Approval.from_json(signed.to_json()) == signed


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": bytes(32)},
        {"decision": "reject"},
        {"node_id": card("bob").node_id},
        {"time": NOW + 1},
        {"reason": "x"},
        {"signature": bytes(64)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_r9_an_approval_covers_each_of_its_fields(changes: dict[str, Any]) -> None:
    assert not replace(approval(), **changes).verify(card("alice").signing_key)


def test_p18_a_malleated_signature_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signed = approval()
    s = int.from_bytes(signed.signature[32:], "little") + order
    forged = replace(signed, signature=signed.signature[:32] + s.to_bytes(32, "little"))
    assert not forged.verify(card("alice").signing_key)


@pytest.mark.parametrize("parse", [KeyGenIntent.parse, Manifest.parse, VaultPolicy.parse])
def test_r8_true_is_not_version_1(parse: Any) -> None:
    """It equals 1 in Python; taken for it, one intent had two texts and two digests."""
    texts = {KeyGenIntent: intent(ROSTER).encode(), Manifest: ROSTER.encode(), VaultPolicy: policy().encode()}
    value = {**json.loads(texts[parse.__self__]), "v": True}
    with pytest.raises(WireError, match="version"):
        parse(canonical_bytes(value))


@pytest.mark.parametrize("text", ["\x1b[2Jvault", "two\nlines", "a b", "\u202egnp", "\u0430", "\x00"])
@pytest.mark.parametrize("name", ["organisation_id", "vault_id", "request_id", "protocol", "min_software"])
def test_r10_ids_are_visible_ascii(name: str, text: str) -> None:
    """They are printed where a person decides."""
    value = {**json.loads(intent(ROSTER).encode()), name: text}
    with pytest.raises(WireError, match=name):
        KeyGenIntent.parse(canonical_bytes(value))
    if name in ("organisation_id", "vault_id"):
        with pytest.raises(WireError, match=name):
            Manifest.parse(canonical_bytes({**json.loads(ROSTER.encode()), name: text}))
