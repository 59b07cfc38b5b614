"""A node finds out when the coordinator's audit log was cut, forked or put back (D07, C22)."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from nacl.signing import SigningKey

from signers.answers import Answer
from signers.audit_watch import MAX_KEPT, ShownCheckpoint, consider
from signers.cli.commands import main
from signers.transport import Transport
from tests.signers.world import World
from wire.canonical import Json, canonical_bytes, parse_json
from wire.checkpoint import FORK, OTHER_KEY, SEEN, WENT_BACK, Checkpoint, Witness, follow, parse_checkpoint
from wire.fields import WireError

KEY = SigningKey(bytes(32))
START = bytes(32)


def digests(first: int, last: int, fork: str = "") -> tuple[bytes, ...]:
    return tuple(sha256(f"{fork}{number}".encode()).digest() for number in range(first, last + 1))


def shown(before: int, last: int, *, fork: str = "", key: SigningKey = KEY) -> ShownCheckpoint:
    """The checkpoint of row `last`, with the digests behind row `before`; `fork` makes another log."""
    checkpoint = Checkpoint.sign(
        lambda message: key.sign(message).signature,
        sequence=last,
        row_hash=follow(START, digests(1, last, fork)),
        time=1,
        key=bytes(key.verify_key),
    )
    return ShownCheckpoint(checkpoint, digests(before + 1, last, fork))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, ["alice"])


class Says(Transport):
    """A coordinator that only shows a checkpoint; remembers what the node told it."""

    def __init__(self, shown: ShownCheckpoint | None) -> None:
        self.shown = shown
        self.told: Json = None

    def sync(self, body: dict[str, Json], wait_ms: int) -> Answer:
        self.told = body["audit"]
        return Answer(audit=self.shown)


def show(world: World, checkpoint: ShownCheckpoint | None) -> Json:
    """One exchange in which the node is shown it; what the node says in the next one."""
    node = world.nodes["alice"]
    for each in (checkpoint, None):
        node._transport = says = Says(each)
        node.sync_once(0)
    return says.told


def codes(world: World) -> list[str]:
    return [entry.code for entry in world.store("alice").log_entries()]


def test_a_longer_log_is_countersigned(world: World) -> None:
    for before, last in [(0, 5), (5, 9), (9, 10)]:
        told = show(world, shown(before, last))
        assert told["seen"] == last
        (word,) = told["words"]
        witness = Witness.from_json(word)
        assert (witness.verdict, witness.checkpoint.sequence) == (SEEN, last)
        assert witness.verify(world.card("alice").signing_key)
    assert show(world, None) == {"seen": 10, "words": []}
    assert show(world, shown(10, 10)) == {"seen": 10, "words": []}
    assert codes(world) == []


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [
        (shown(5, 9, fork="x"), FORK),
        (shown(5, 5, fork="x"), FORK),
        (replace(shown(5, 9), digests=digests(6, 8)), FORK),
        (replace(shown(5, 9), digests=()), FORK),
        (shown(4, 4), WENT_BACK),
        (shown(5, 9, key=SigningKey(bytes([1]) * 32)), OTHER_KEY),
    ],
)
def test_d07_a_changed_log_is_reported_once(world: World, bad: ShownCheckpoint, verdict: str) -> None:
    show(world, shown(0, 5))
    told = show(world, bad)
    assert told["seen"] == 5
    witness = Witness.from_json(told["words"][0])
    assert witness.verdict == verdict
    # What both sides of the contradiction are is in it, each signed by the coordinator.
    assert witness.checkpoint == bad.checkpoint
    assert witness.earlier == shown(0, 5).checkpoint
    assert codes(world) == [verdict]
    assert show(world, bad)["words"] == []
    assert codes(world) == [verdict]
    # The honest log still counts.
    assert show(world, shown(5, 7))["seen"] == 7


def test_d07_the_operator_reads_and_forgets(world: World) -> None:
    show(world, shown(0, 5))
    state = ("--state", str(world.state("alice")))
    printed = CliRunner().invoke(main, [*state, "audit", "show"])
    assert printed.exit_code == 0, printed.output
    assert parse_checkpoint(printed.stdout.encode()) == shown(0, 5).checkpoint
    show(world, shown(5, 9, fork="x"))
    printed = CliRunner().invoke(main, [*state, "audit", "alarms"])
    assert Witness.from_json(parse_json(printed.stdout.encode())).verdict == FORK
    assert CliRunner().invoke(main, [*state, "audit", "forget"]).exit_code == 0
    assert show(world, shown(0, 3, fork="x"))["seen"] == 3
    assert CliRunner().invoke(main, [*state, "audit", "alarms"]).stdout == ""


def test_a_node_keeps_a_bounded_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signers.audit_watch.MAX_KEPT", 3)
    for last in range(1, 8):
        show(world, shown(last - 1, last))
    rows = world.store("alice").database.rows("SELECT sequence FROM audit_words ORDER BY sequence")
    assert [sequence for (sequence,) in rows] == [5, 6, 7]
    assert MAX_KEPT > 3


def test_nothing_is_kept_twice(world: World) -> None:
    words = world.store("alice").audit_words
    sign = world.nodes["alice"].identity.sign
    assert consider(words, shown(0, 5), node_id="n", sign=sign, time=1) is not None
    assert consider(words, shown(0, 5), node_id="n", sign=sign, time=2) is None


@pytest.mark.parametrize("field", ["sequence", "row_hash", "time", "key", "signature"])
def test_d07_an_altered_checkpoint_is_no_checkpoint(field: str) -> None:
    value = shown(0, 5).checkpoint.to_json()
    value[field] = value[field] + 1 if isinstance(value[field], int) else "ab" * (len(value[field]) // 2)
    with pytest.raises(WireError):
        Checkpoint.from_json(value)
    with pytest.raises(WireError):
        parse_checkpoint(canonical_bytes(value))


def test_an_alarm_without_its_earlier_checkpoint_is_refused() -> None:
    word = Witness.sign(
        lambda message: KEY.sign(message).signature,
        verdict=FORK,
        checkpoint=shown(0, 5).checkpoint,
        earlier=None,
        node_id="n",
        time=1,
    )
    with pytest.raises(WireError, match="earlier"):
        Witness.from_json(word.to_json())
