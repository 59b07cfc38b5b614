"""Checkpoints of the audit log and nodes' words about them: every field counts (C22)."""

from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from wire.canonical import CanonicalError, canonical_bytes
from wire.checkpoint import FORK, SEEN, Checkpoint, Witness, follow, judge, link_hash, parse_checkpoint
from wire.fields import WireError

SITE, NODE = SigningKey(bytes(range(32))), SigningKey(bytes(range(1, 33)))


def checkpoint(sequence: int = 7, row_hash: bytes = bytes(32)) -> Checkpoint:
    return Checkpoint.sign(
        lambda message: SITE.sign(message).signature,
        sequence=sequence,
        row_hash=row_hash,
        time=1_700_000_000_000,
        key=bytes(SITE.verify_key),
    )


def witness(verdict: str = SEEN, earlier: Checkpoint | None = None) -> Witness:
    return Witness.sign(
        lambda message: NODE.sign(message).signature,
        verdict=verdict,
        checkpoint=checkpoint(),
        earlier=earlier,
        node_id="quoNode",
        time=1_700_000_001_000,
    )


def test_published_vectors() -> None:
    """The values that docs/protocol.md publishes; a change here is a change of the protocol."""
    found = (link_hash(bytes(32), bytes(32)), checkpoint().signed_bytes(), witness().signed_bytes())
    assert [each.hex() for each in found] == [
        "296a908be79664d0e1fa92ce092f4f019e60c84c2ee91d65f4aac3e1cc78c097",
        "cc56eb49631df77bdc7a273bd3f8cd71a67fd7c637ff161b0d23ea2a0cb7c080",
        "38e7e0ad0103d595721d21282215abbe967062c477f4afb0f7c41d60c5474d3a",
    ]


@pytest.mark.parametrize("made", [checkpoint(), checkpoint(8, bytes([1]) * 32)])
def test_a_checkpoint_survives_its_file(made: Checkpoint) -> None:
    assert Checkpoint.from_json(made.to_json()) == made
    assert parse_checkpoint(canonical_bytes(made.to_json())) == made


@pytest.mark.parametrize("word", [witness(), witness(FORK, checkpoint(5))])
def test_a_word_survives_and_its_checkpoint_can_be_taken_from_it(word: Witness) -> None:
    assert Witness.from_json(word.to_json()) == word
    assert word.verify(bytes(NODE.verify_key))
    assert not word.verify(bytes(SITE.verify_key))
    assert parse_checkpoint(canonical_bytes(word.to_json())) == checkpoint()


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "audit_went_back"},
        {"checkpoint": checkpoint(6)},
        {"earlier": checkpoint(4)},
        {"earlier": None},
        {"node_id": "quoOther"},
        {"time": 1},
    ],
)
def test_every_field_of_a_word_is_signed(change: dict[str, Any]) -> None:
    assert not replace(witness(FORK, checkpoint(5)), **change).verify(bytes(NODE.verify_key))


@pytest.mark.parametrize("extra", [{"v": 2}, {"v": True}, {"more": 1}, {"sequence": 0}, {"sequence": "7"}])
def test_unknown_versions_and_fields_are_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Checkpoint.from_json(checkpoint().to_json() | extra)


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(CanonicalError, match="larger"):
        parse_checkpoint(b" " * 5000)


def test_digests_lead_from_one_hash_to_the_next() -> None:
    digests = [bytes([n]) * 32 for n in range(3)]
    end = follow(bytes(32), digests)
    assert judge(checkpoint(), checkpoint(10, end), digests) == SEEN
    assert judge(checkpoint(), checkpoint(10, end), reversed(digests)) == FORK
