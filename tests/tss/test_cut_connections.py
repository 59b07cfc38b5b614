"""T05: the database ends a connection in the middle of a change of a request: all of it happened, or nothing.

On Postgres, which really ends it: `pg_terminate_backend` before each statement in turn.
"""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from tests.tss.books import check_books
from tests.tss.nodes import Site, fresh
from tss import services
from tss.models import Approval, Job, TssRequest, Voter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def cut_before(statement: int, act: Callable[[], object]) -> bool:
    """Do `act` on another connection, which ends before its nth statement; whether there was an nth."""
    numbers = count(1)
    failures: list[BaseException] = []
    cut = threading.Event()

    def cutting(execute: Callable[..., Any], *args: Any) -> Any:
        if next(numbers) == statement and not cut.is_set():
            cut.set()
            _terminate(connection.connection.info.backend_pid)
        return execute(*args)

    def run() -> None:
        try:
            with connection.execute_wrapper(cutting):
                act()
        except (OperationalError, InterfaceError) as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert bool(failures) == cut.is_set(), "a cut connection fails the call, and nothing else does"
    return cut.is_set()


def _terminate(pid: int) -> None:
    """From a third connection, as an operator would."""

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                assert cursor.fetchone() == (True,)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


def cut_everywhere(act: Callable[[], object], unchanged: Callable[[], None]) -> int:
    """Cut `act` before its first statement, then before its second, until it gets through; how many cuts."""
    for statement in count(1):
        if not cut_before(statement, act):
            return statement - 1
        unchanged()
    raise AssertionError


def test_t05_creation(site: Site) -> None:
    def unchanged() -> None:
        assert not TssRequest.objects.exists()
        assert not Voter.objects.exists()

    assert cut_everywhere(site.request, unchanged) > 10
    check_books(TssRequest.objects.get())


def test_t05_last_approval(site: Site) -> None:
    request = site.request()
    *first, last = site.signers
    for signer in first:
        signer.decide(request)

    def unchanged() -> None:
        assert fresh(request).state == "AwaitingApproval"
        assert Approval.objects.count() == 2
        assert not Job.objects.exists()

    assert cut_everywhere(lambda: last.decide(request), unchanged) > 10
    assert fresh(request).state == "Approved"
    # The node whose answer was lost says it again.
    last.decide(request)
    assert Job.objects.filter(done_at=None).count() == 1
    check_books(request)


def test_t05_cancel(site: Site) -> None:
    request = site.approved()

    def unchanged() -> None:
        assert fresh(request).state == "Approved"
        assert Job.objects.filter(done_at=None).count() == 1

    cuts = cut_everywhere(lambda: services.cancel_request(actor=site.actor, request=request), unchanged)
    assert cuts > 5
    assert fresh(request).state == "Cancelled"
    check_books(request)
