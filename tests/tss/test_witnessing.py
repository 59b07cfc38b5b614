"""The coordinator shows its nodes the checkpoints of its audit log and keeps what they sign (C22, D07)."""

from typing import Any

import pytest
from nacl.signing import SigningKey

from audit import rationing, selectors
from audit import services as audit
from audit.models import AuditCheckpoint, AuditRow, CheckpointWitness
from tests.tss.nodes import Signer, Site
from tests.tss.syncing import sync
from wire.checkpoint import FORK, SEEN, WENT_BACK, Checkpoint, Witness, judge

# The calls run in threads of the site's, with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


def shown(signer: Signer, seen: int = 0, *words: Witness) -> tuple[Checkpoint, list[bytes]]:
    rationing.forget()
    said = {"seen": seen, "words": [word.to_json() for word in words]}
    answer = sync(signer, audit=said)
    assert answer["errors"] == []
    value = answer["audit"]
    return Checkpoint.from_json(value["checkpoint"]), [bytes.fromhex(each) for each in value["digests"]]


def word(signer: Signer, checkpoint: Checkpoint, **changes: Any) -> Witness:
    fields: dict[str, Any] = {
        "verdict": SEEN,
        "checkpoint": checkpoint,
        "earlier": None,
        "node_id": signer.node_id,
        "time": 1,
    } | changes
    return Witness.sign(signer.sign, **fields)


def act(count: int = 3) -> None:
    for number in range(count):
        audit.record(actor="user:1", act="thing.done", subject=f"thing:{number}", detail={})


def test_a_node_follows_the_log_and_its_word_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = site.signers[0]
    assert sync(alice)["audit"] is None  # nothing was signed yet
    audit.checkpoint()
    first, digests = shown(alice)
    assert digests == []
    act(7)
    for module in (audit, selectors):
        monkeypatch.setattr(module, "MAX_LINKS", 3)
    audit.checkpoint()
    seen = first
    # A node that was away walks in steps that fit into an answer.
    for _ in range(3):
        last, seen = seen, shown(alice, seen.sequence, word(alice, seen))[0]
        assert judge(last, seen, shown(alice, last.sequence)[1]) == SEEN
    assert seen.sequence == audit.head()[0]
    rows = CheckpointWitness.objects.order_by("sequence").values_list("node_id", "sequence", "verdict")
    assert list(rows) == [(alice.node_id, first.sequence + n, SEEN) for n in (0, 3, 6)]
    assert audit.verify() is None


def test_d07_a_rewritten_log_is_noticed_by_the_node_and_verify(site: Site) -> None:
    alice = site.signers[0]
    audit.checkpoint()
    seen, _ = shown(alice)
    shown(alice, seen.sequence, word(alice, seen))
    # Whoever owns the database but not the nodes cuts the log, and goes on with other rows.
    AuditCheckpoint.objects.all().delete()
    AuditRow.objects.filter(sequence__gt=seen.sequence - 2).delete()
    audit.checkpoint()
    back, digests = shown(alice, seen.sequence)
    assert judge(seen, back, digests) == WENT_BACK
    act(5)
    audit.checkpoint()
    fork, digests = shown(alice, seen.sequence)
    assert judge(seen, fork, digests) == FORK
    assert audit.verify() == seen.sequence
    alarm = word(alice, fork, verdict=FORK, earlier=seen)
    assert sync(alice, audit={"seen": seen.sequence, "words": [alarm.to_json()]})["errors"] == []
    row = AuditRow.objects.get(act="audit.alarm")
    assert row.actor == f"node:{alice.node_id}"
    assert FORK in row.detail


def test_words_that_do_not_count_are_refused(site: Site) -> None:
    alice, bob = site.signers[:2]
    checkpoint = audit.checkpoint()
    assert checkpoint is not None
    stranger = SigningKey.generate()
    foreign = Checkpoint.sign(
        lambda message: stranger.sign(message).signature,
        sequence=1,
        row_hash=bytes(32),
        time=1,
        key=bytes(stranger.verify_key),
    )
    altered = word(alice, checkpoint).to_json() | {"time": 2}
    bad = [word(bob, checkpoint).to_json(), altered, word(alice, foreign).to_json(), "x"]
    errors = sync(alice, audit={"seen": 0, "words": bad})["errors"]
    assert [(each["item"], each["code"]) for each in errors] == [
        ("audit.words[0]", "foreign_node"),
        ("audit.words[1]", "bad_signature"),
        ("audit.words[2]", "foreign_key"),
        ("audit.words[3]", "malformed"),
    ]
    assert not CheckpointWitness.objects.exists()
