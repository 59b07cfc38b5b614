"""Cards, manifests, decisions, statements, notes and anchors: one byte string each, and every field counts
(R4, R6, R7, R9, R28)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.wire.builders import (
    NOW,
    anchor,
    approval,
    card,
    intent,
    main_group,
    policy,
    set_hash,
    set_statement,
)
from wire.anchor import Anchor
from wire.approval import DECISIONS, Approval
from wire.canonical import CanonicalError, canonical_bytes
from wire.fields import WireError
from wire.identity import HolderCard, fingerprint_words, node_id
from wire.intent import Intent
from wire.manifest import Manifest
from wire.notes import MAX_SETS, Notes, SetNote
from wire.policy import VaultPolicy
from wire.set_statement import STATES, SetStatement

ROSTER = main_group()
DIGEST = intent().digest()


def notes() -> Notes:
    return Notes(
        decisions=(approval("alice", DIGEST), approval("bob", DIGEST, "withdraw", reason="lost my phone")),
        sets=(
            SetNote(ROSTER.group_id, 2, 3, bytes(32), set_hash(ROSTER), "prepared"),
            SetNote(ROSTER.group_id, 1, 1, bytes(range(32)), b"", "final"),
        ),
        abandoned=(set_statement("carol", "abandoned"),),
    )


def test_published_vectors() -> None:
    """The values that docs/protocol.md publishes; a change here is a change of the protocol."""
    alice = card("alice")
    words = "quick want humor loyal feel whisper airport filter pioneer ready boil water"
    assert alice.node_id == "quoCq39hwkcHAukzRhDZwBRtLEoroAuS1Rgvz3YNyqiS4VX"
    assert fingerprint_words(alice.signing_key, alice.encryption_key) == words
    assert ROSTER.hash().hex() == "5e89bb3c9f4736525e4d9e33b5af25454ba66b1d5dad44ceb59bf924dd614ea5"
    assert policy().hash().hex() == "e26fefb64916db3bd108ee3c8ffbb8a7eae95a5489055538c557ef44e8ae0bb9"
    assert DIGEST.hex() == "24787e6a11eb26b17fc5b3cff7adcf940041f8d0024d078399884f06011e22a1"
    assert (
        intent("Recovery").digest().hex()
        == "3ccb8a15ef3a37d477cb4376419986a1c7caca086a519414748e0a89e697ff99"
    )
    assert anchor().words() == "eager almost symbol use worry picnic two web draw pig myth brass"


def test_round_trips() -> None:
    assert HolderCard.from_json(card("alice").to_json()) == card("alice")
    assert Manifest.parse(ROSTER.encode()) == ROSTER
    assert Anchor.parse(anchor().encode()) == anchor()
    assert Notes.parse(notes().encode()) == notes()
    for decision in DECISIONS:
        signed = approval("alice", DIGEST, decision)
        assert Approval.from_json(signed.to_json()) == signed
    for state in STATES:
        statement = set_statement("alice", state)
        assert SetStatement.from_json(statement.to_json()) == statement


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
        {"epoch": 0},
        {"role": "master"},
    ):
        with pytest.raises(WireError):
            Manifest.parse(canonical_bytes(ROSTER.to_json() | changes))


def test_an_approval_verifies_with_its_holders_key_only() -> None:
    signed = approval("alice", DIGEST)
    assert signed.verify(card("alice").signing_key)
    assert not signed.verify(card("bob").signing_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": bytes(32)},
        {"decision": "reject"},
        {"decision": "withdraw"},
        {"node_id": card("bob").node_id},
        {"time": NOW + 1},
        {"reason": "x"},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_r9_an_approval_covers_each_of_its_fields(changes: dict[str, Any]) -> None:
    assert not replace(approval("alice", DIGEST), **changes).verify(card("alice").signing_key)


def test_p18_a_malleated_signature_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signed = approval("alice", DIGEST)
    s = int.from_bytes(signed.signature[32:], "little") + order
    forged = replace(signed, signature=signed.signature[:32] + s.to_bytes(32, "little"))
    assert not forged.verify(card("alice").signing_key)


def test_a_set_statement_verifies_with_its_holders_key_only() -> None:
    statement = set_statement("alice")
    assert statement.verify(card("alice").signing_key)
    assert not statement.verify(card("bob").signing_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "abandoned"},
        {"vault_id": "another"},
        {"group_id": "another"},
        {"epoch": 2},
        {"session_id": bytes(32)},
        {"node_id": card("bob").node_id},
        {"time": NOW + 1},
        {"signature": bytes(64)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_r28_a_set_statement_covers_each_of_its_fields(changes: dict[str, Any]) -> None:
    assert not replace(set_statement("alice"), **changes).verify(card("alice").signing_key)


@pytest.mark.parametrize(
    "changes", [{"state": "prepared"}, {"epoch": 0}, {"epoch": 2**32}, {"extra": 1}, {"v": 2}], ids=str
)
def test_a_set_statement_has_one_form(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        SetStatement.from_json(set_statement("alice").to_json() | changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("decisions", [{}]),
        ("sets", [{}]),
        ("sets", [notes().sets[0].to_json()] * (MAX_SETS + 1)),
        ("sets", [notes().sets[0].to_json() | {"state": "lost"}]),
        ("sets", [notes().sets[0].to_json() | {"epoch": 0}]),
        ("sets", [notes().sets[0].to_json() | {"attempt": True}]),
        ("sets", [notes().sets[0].to_json() | {"base": "00"}]),
        ("sets", [notes().sets[0].to_json() | {"extra": 1}]),
        ("abandoned", [{}]),
        ("extra", []),
        ("v", True),
    ],
)
def test_notes_of_a_stranger_are_read_strictly(field: str, value: Any) -> None:
    document = json.loads(notes().encode()) | {field: value}
    with pytest.raises(WireError, match=rf"notes\.{field}"):
        Notes.parse(canonical_bytes(document))


def test_notes_must_be_canonical_bytes() -> None:
    with pytest.raises(CanonicalError, match="canonical"):
        Notes.parse(json.dumps(json.loads(notes().encode()), indent=1).encode())


def test_r6_every_field_of_an_anchor_is_in_its_words() -> None:
    other_key = replace(anchor().root_keys[0], chain_code=bytes(32))
    changed = [
        {"organisation_id": "another"},
        {"vault_id": "another"},
        {"certificate_hash": bytes(32)},
        {"root_keys": (other_key, anchor().root_keys[1])},
        {"policy_hash": bytes(32)},
        {"main_group_id": "another"},
        {"main_since": 1},
    ]
    words = {replace(anchor(), **changes).words() for changes in changed}  # type: ignore[arg-type]
    assert len(words | {anchor().words()}) == len(changed) + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate_hash": ""},
        {"policy_hash": "00"},
        {"main_group_id": "two words"},
        {"main_since": -1},
        {"root_keys": [anchor().root_keys[0].to_json() | {"curve": "p256"}]},
        {"root_keys": [anchor().root_keys[0].to_json() | {"curve": "ed25519"}]},
        {"root_keys": [anchor().root_keys[0].to_json()] * 3},
        {"extra": 1},
    ],
    ids=str,
)
def test_an_anchor_has_one_form(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError, match=next(iter(changes))):
        Anchor.parse(canonical_bytes(anchor().to_json() | changes))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (Intent.parse, intent().encode()),
        (Manifest.parse, ROSTER.encode()),
        (VaultPolicy.parse, policy().encode()),
        (Notes.parse, notes().encode()),
        (Anchor.parse, anchor().encode()),
    ],
    ids=["intent", "manifest", "policy", "notes", "anchor"],
)
def test_r8_true_is_not_version_1(parse: Any, text: bytes) -> None:
    """It equals 1 in Python; taken for it, one intent had two texts and two digests."""
    with pytest.raises(WireError, match="version"):
        parse(canonical_bytes({**json.loads(text), "v": True}))
