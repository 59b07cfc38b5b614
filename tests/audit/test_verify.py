"""D07: whatever is done to the rows of the audit log, `manage.py audit verify` names the first bad one."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone
from nacl.signing import SigningKey
from pytest_django import DjangoAssertNumQueries

from audit import selectors
from audit import services as audit
from audit import tasks as audit_tasks
from audit.chain import GENESIS, BrokenChain
from audit.models import AuditCheckpoint, AuditRow, CheckpointWitness
from wire.checkpoint import FORK, SEEN, Checkpoint, Witness

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

ROWS = 8


@pytest.fixture(autouse=True)
def _rows() -> None:
    for number in range(1, ROWS + 1):
        audit.record(actor="user:1", act="thing.done", subject=f"thing:{number}", detail={"n": number})


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def rewrite_from(sequence: int, **change: Any) -> None:
    """Change a row and make every hash behind it right again, as somebody who owns the database can."""
    AuditRow.objects.filter(sequence=sequence).update(**change)
    before = AuditRow.objects.filter(sequence=sequence - 1).first()
    previous = before.hash if before else GENESIS
    for row in AuditRow.objects.filter(sequence__gte=sequence).order_by("sequence"):
        row.previous_hash = previous
        row.hash = previous = audit.row_hash(row)
        row.save()


def edit() -> None:
    AuditRow.objects.filter(sequence=4).update(subject="thing:else")


def delete() -> None:
    AuditRow.objects.filter(sequence=4).delete()


def insert() -> None:
    for row in AuditRow.objects.filter(sequence__gte=4).order_by("-sequence"):
        AuditRow.objects.filter(pk=row.pk).update(sequence=F("sequence") + 1)
    third = AuditRow.objects.get(sequence=3)
    forged = AuditRow(
        sequence=4,
        time=third.time,
        actor="user:2",
        act="a",
        subject="s",
        detail="{}",
        previous_hash=third.hash,
    )
    forged.hash = audit.row_hash(forged)
    forged.save(force_insert=True)


def reorder() -> None:
    AuditRow.objects.filter(sequence=4).update(sequence=100)
    AuditRow.objects.filter(sequence=5).update(sequence=4)
    AuditRow.objects.filter(sequence=100).update(sequence=5)


@pytest.mark.parametrize(
    ("attack", "row"),
    [(edit, 4), (delete, 4), (insert, 5), (reorder, 4)],
    ids=["edit", "delete", "insert", "reorder"],
)
def test_d07_p10_the_first_bad_row_is_named(attack: Callable[[], None], row: int) -> None:
    assert json.loads(command("verify"))["rows"] == ROWS
    attack()
    with pytest.raises(CommandError, match=f"broken at row {row}:"):
        command("verify")


def test_d07_a_row_before_the_first_is_found() -> None:
    first = AuditRow.objects.get(sequence=1)
    AuditRow.objects.create(**{**row_fields(first), "sequence": 0, "hash": "00" * 32})
    with pytest.raises(CommandError, match="broken at row 0:"):
        command("verify")


def row_fields(row: AuditRow) -> dict[str, Any]:
    return vars(selectors.entry_of(row)).copy()


def cut(sequence: int) -> None:
    AuditRow.objects.filter(sequence__gte=sequence).delete()


def test_d07_a_cut_tail_is_found_by_the_stored_checkpoint() -> None:
    audit.checkpoint()
    cut(6)
    with pytest.raises(CommandError, match="broken at row 6: missing"):
        command("verify")


def test_d07_a_cut_tail_is_found_by_a_nodes_countersignature() -> None:
    checkpoint = audit.checkpoint()
    assert checkpoint is not None
    assert audit.witnessed(countersigned(checkpoint))
    assert not audit.witnessed(countersigned(checkpoint))
    AuditCheckpoint.objects.all().delete()
    cut(6)
    with pytest.raises(CommandError, match="broken at row 6: missing"):
        command("verify")


def test_d07_a_cut_tail_is_found_by_an_exported_checkpoint(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(command("checkpoint"))
    # The attacker owns the whole database: nothing in it tells any more.
    AuditCheckpoint.objects.all().delete()
    cut(6)
    assert json.loads(command("verify"))["rows"] == 5
    with pytest.raises(CommandError, match="broken at row 6: missing"):
        command("verify", "--checkpoint", str(kept))


def test_d07_a_rewritten_chain_is_found_by_checkpoints() -> None:
    audit.checkpoint()
    rewrite_from(3, actor="user:2")
    with pytest.raises(CommandError, match=f"broken at row {ROWS}: a signed checkpoint has another hash"):
        command("verify")


def test_d07_what_follows_a_broken_row_is_not_signed() -> None:
    audit.checkpoint()
    audit.record(actor="user:1", act="thing.done", subject="thing:9", detail={})
    AuditRow.objects.filter(sequence=ROWS + 1).update(act="other")
    with pytest.raises(BrokenChain) as broken:
        audit.checkpoint()
    assert broken.value.sequence == ROWS + 1
    with pytest.raises(CommandError, match="nothing was signed"):
        command("checkpoint")


def test_d07_a_checkpoint_of_another_key_does_not_count(tmp_path: Path) -> None:
    sequence, digest = audit.head()
    other = SigningKey.generate()
    forged = Checkpoint.sign(
        lambda message: other.sign(message).signature,
        sequence=sequence,
        row_hash=bytes.fromhex(digest),
        time=1,
        key=bytes(other.verify_key),
    )
    file = tmp_path / "forged.json"
    file.write_text(json.dumps(forged.to_json()))
    with pytest.raises(CommandError, match="key that is not this site's"):
        command("verify", "--checkpoint", str(file))
    command("verify", "--checkpoint", str(file), "--key", forged.key.hex())
    AuditCheckpoint.objects.create(sequence=sequence, signed=forged.to_json())
    with pytest.raises(CommandError, match=f"row {sequence}: its stored checkpoint"):
        command("verify")


def test_checkpoints_are_made_for_new_rows_only_and_never_too_far_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "MAX_LINKS", 3)
    assert audit.checkpoint() == audit.checkpoint()
    assert list(AuditCheckpoint.objects.order_by("sequence").values_list("sequence", flat=True)) == [3, 6, 8]
    assert audit.verify() is None


def test_an_export_is_verified_without_the_database(
    tmp_path: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    exported, kept = tmp_path / "log.jsonl", tmp_path / "kept.json"
    kept.write_text(command("checkpoint"))
    exported.write_text(command("export"))
    verify = ("verify", "--file", str(exported), "--checkpoint", str(kept))
    with django_assert_num_queries(0):
        assert json.loads(command(*verify))["rows"] == ROWS
        lines = exported.read_text().splitlines(keepends=True)
        for bad, row in [
            (lines[:3] + lines[4:], 4),
            ([*lines[:3], lines[4], lines[3], *lines[5:]], 4),
            ([*lines[:4], lines[3], *lines[4:]], 4),
            ([*lines[:3], lines[3].replace("thing:4", "thing:x"), *lines[4:]], 4),
            (lines[:5], 6),
        ]:
            exported.write_text("".join(bad))
            with pytest.raises(CommandError, match=f"broken at row {row}:"):
                command(*verify)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{}", "line 1.*is missing"), ("not json", "line 1: not valid JSON"), ('{"sequence":1e3}', "line 1")],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad"
    file.write_text(text)
    with pytest.raises(CommandError, match=says):
        command("verify", "--file", str(file))
    with pytest.raises(CommandError, match="is no checkpoint"):
        command("verify", "--checkpoint", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        command("verify", "--file", str(tmp_path / "absent"))


def test_an_empty_log_has_nothing_to_sign() -> None:
    AuditRow.objects.all().delete()
    with pytest.raises(CommandError, match="empty"):
        command("checkpoint")


def test_old_countersignatures_go_but_each_nodes_newest_and_every_alarm() -> None:
    checkpoints = []
    for number in range(3):
        checkpoints.append(audit.checkpoint())
        audit.record(actor="user:1", act="thing.done", subject=f"more:{number}", detail={})
    first, second, third = filter(None, checkpoints)
    for node, shown in (("a", first), ("a", second), ("a", third), ("b", first), ("b", second)):
        audit.witnessed(countersigned(shown, node))
    audit.witnessed(replace(countersigned(second, "a"), verdict=FORK, earlier=third))
    CheckpointWitness.objects.exclude(node_id="b", sequence=first.sequence).update(
        received_at=timezone.now() - timedelta(days=2)
    )
    audit_tasks.prune()
    left = CheckpointWitness.objects.order_by("pk").values_list("node_id", "sequence", "verdict")
    assert list(left) == [
        ("a", third.sequence, SEEN),
        ("b", first.sequence, SEEN),
        ("b", second.sequence, SEEN),
        ("a", second.sequence, FORK),
    ]
    assert audit.verify() is None


def test_a_node_that_cries_wolf_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_ALARMS", 1)
    first = audit.checkpoint()
    audit.record(actor="user:1", act="thing.done", subject="thing:9", detail={})
    second = audit.checkpoint()
    assert first is not None
    assert second is not None
    kept = [
        audit.witnessed(replace(countersigned(shown, "a"), verdict=FORK, earlier=second))
        for shown in (first, second)
    ]
    assert kept == [True, False]
    assert AuditRow.objects.filter(act="audit.alarm").count() == 1
    assert audit.witnessed(countersigned(second, "a"))


def countersigned(checkpoint: Checkpoint, node_id: str = "quoNode") -> Witness:
    return Witness.sign(
        lambda message: SigningKey(bytes(32)).sign(message).signature,
        verdict=SEEN,
        checkpoint=checkpoint,
        earlier=None,
        node_id=node_id,
        time=1,
    )
