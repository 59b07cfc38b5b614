"""A reader of the outbox misses nothing and sees nothing twice, whatever order transactions commit in."""

import itertools
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from webhooks import feed
from webhooks.models import OutboxEvent
from webhooks.outbox import emit

# The numbers begin at 1 in each test: a read passes a window of them, and a process that ran many tests is
# far beyond it.
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

ORGANISATION = str(uuid.uuid4())
PATIENCE = 30.0


def event(type: str = "quorate.node.online", organisation: str = ORGANISATION) -> OutboxEvent:
    return emit(organisation_id=organisation, type=type, data={})


def in_thread(act: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextmanager
def open_transaction(*, commit: bool = True) -> Iterator[int]:
    """Another connection that has drawn a number and has not committed; ends with the block."""
    drawn, end = threading.Event(), threading.Event()
    numbers: list[int] = []

    def act() -> None:
        with transaction.atomic():
            numbers.append(event("quorate.node.offline").sequence)
            drawn.set()
            assert end.wait(PATIENCE)
            transaction.set_rollback(not commit)

    thread = in_thread(act)
    assert drawn.wait(PATIENCE)
    try:
        yield numbers[0]
    finally:
        end.set()
        thread.join(PATIENCE)


@pytest.fixture
def postgres() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")


@pytest.mark.usefixtures("postgres")
def test_a_lower_number_that_commits_later_is_not_passed() -> None:
    first = event().sequence
    horizon = feed.Horizon()
    with open_transaction() as slow:
        later = event().sequence
        assert first < slow < later
        assert horizon.advance() == 0
        assert horizon.waiting
    assert horizon.advance() == later
    seen = feed.read(organisation_id=ORGANISATION, after=0, until=later, types=(), limit=10)
    assert [each.sequence for each in seen.events] == [first, slow, later]


@pytest.mark.usefixtures("postgres")
def test_a_rolled_back_number_holds_nobody_up() -> None:
    horizon = feed.Horizon()
    with open_transaction(commit=False) as slow:
        later = event().sequence
        assert horizon.advance() == 0
    assert horizon.advance() == later
    seen = feed.read(organisation_id=ORGANISATION, after=0, until=later, types=(), limit=10)
    assert slow not in [each.sequence for each in seen.events]


@pytest.mark.usefixtures("postgres")
def test_new_transactions_do_not_hold_back_what_older_ones_have_finished() -> None:
    """However busy the site is, some transaction always runs: the horizon moves all the same."""
    horizon = feed.Horizon()
    with open_transaction() as first:
        done = event().sequence
        assert horizon.advance() == 0
        with open_transaction() as second:
            pass
        assert first < done < second
    with open_transaction():
        assert horizon.advance() == done


@pytest.mark.usefixtures("postgres")
def test_a_transaction_that_only_reads_holds_nobody_up() -> None:
    number = event().sequence
    read, end = threading.Event(), threading.Event()

    def act() -> None:
        with transaction.atomic():
            assert feed.newest_sequence() == number
            read.set()
            assert end.wait(PATIENCE)

    thread = in_thread(act)
    assert read.wait(PATIENCE)
    assert feed.Horizon().advance() == number
    end.set()
    thread.join(PATIENCE)


def test_many_writers_at_once_nothing_lost_nothing_doubled() -> None:
    """Eight writers with transactions of random length, of which some roll back; one reader beside them."""
    writers, each = 8, 20
    committed: list[int] = []
    running = threading.Barrier(writers + 1)
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        running.wait(PATIENCE)
        for _ in range(each):
            try:
                with transaction.atomic():
                    numbers = [event().sequence for _ in range(chance.randint(1, 3))]
                    # Lets others draw and commit in between; a pause only makes that likelier.
                    threading.Event().wait(chance.random() / 200)
                    if chance.random() < 0.2:
                        raise ZeroDivisionError
                committed.extend(numbers)
            except ZeroDivisionError:
                continue

    threads = [in_thread(lambda seed=seed: write(seed)) for seed in range(writers)]  # type: ignore[misc]
    horizon, position = feed.Horizon(), 0
    seen: list[int] = []

    def read() -> int:
        until = horizon.advance()
        if position >= until:
            return position
        batch = feed.read(organisation_id=ORGANISATION, after=position, until=until, types=(), limit=7)
        seen.extend(row.sequence for row in batch.events)
        return batch.reached

    running.wait(PATIENCE)
    while not done.is_set():
        position = read()
        if not any(thread.is_alive() for thread in threads):
            done.set()
    for _ in itertools.repeat(None):
        position, before = read(), position
        if position == before and not horizon.waiting:
            break
    assert seen == sorted(committed)
    assert len(committed) > writers * each // 2


def test_a_read_passes_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another organisation's many events cost a few cheap steps, and what is behind them is found."""
    monkeypatch.setattr(feed, "_WINDOW", 10)
    other = str(uuid.uuid4())
    OutboxEvent.objects.bulk_create(
        OutboxEvent(organisation_id=other, type="quorate.test", data={}) for _ in range(25)
    )
    mine = event().sequence
    until, position, steps = feed.Horizon().advance(), mine - 26, 0
    found: list[OutboxEvent] = []
    while position < until:
        batch = feed.read(organisation_id=ORGANISATION, after=position, until=until, types=(), limit=5)
        found += batch.events
        position, steps = batch.reached, steps + 1
    assert ([each.sequence for each in found], steps) == ([mine], 3)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("types", "found"),
    [
        ((), ["quorate.group.created", "quorate.node.online", "mpc_vaults.created"]),
        (("mpc_vaults.created",), ["mpc_vaults.created"]),
        (("quorate.group.*", "mpc_vaults.created"), ["quorate.group.created", "mpc_vaults.created"]),
        (("quorate.*",), ["quorate.group.created", "quorate.node.online"]),
        (("quorate.group", "quorate.nod.*"), []),
    ],
)
def test_types(types: tuple[str, ...], found: list[str]) -> None:
    for type in ("quorate.group.created", "quorate.node.online", "mpc_vaults.created"):
        event(type)
    event("quorate.group.created", str(uuid.uuid4()))
    until = feed.Horizon().advance()
    batch = feed.read(organisation_id=ORGANISATION, after=0, until=until, types=types, limit=10)
    assert [each.type for each in batch.events] == found
    assert batch.reached == until
