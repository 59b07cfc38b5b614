"""Decisions at the same moment, on real connections: exactly one wins and nothing is counted twice."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from audit import services as audit
from tests.tss.nodes import Site, fresh
from tss import ceremonies, driver, services
from tss.errors import ItemRefused
from tss.models import Approval, Ceremony, Evidence, Job, Message, RequestEvent, ShareSet, TssRequest
from vaults.errors import ServiceError
from vaults.models import RowCount
from webhooks.models import OutboxEvent

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]

ROUNDS = 25


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start together; each result, or the error that a loser gets."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(position: int, call: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout=10)
            results[position] = call()
        except (ServiceError, ItemRefused) as error:
            results[position] = error
        except BaseException as error:
            results[position] = error
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    for result in results:
        assert not isinstance(result, BaseException) or isinstance(result, ServiceError | ItemRefused), result
    return results


def check_books(request: TssRequest) -> None:
    """Events, outbox and audit chain tell one story: one entry a version, without gaps."""
    stored = fresh(request)
    versions = list(
        RequestEvent.objects.filter(request=request).order_by("version").values_list("version", flat=True)
    )
    assert versions == list(range(stored.version + 1))
    assert RequestEvent.objects.filter(request=request).latest("version").state == stored.state
    own = OutboxEvent.objects.filter(data__tss_request_id=request.id)
    assert own.count() == stored.version + 1
    assert audit.verify() is None


def test_last_approval_against_cancel(site: Site) -> None:
    for _ in range(ROUNDS):
        request = site.request()
        for signer in site.signers[:2]:
            signer.decide(request)
        last = site.signers[2]
        at_once(
            lambda: last.decide(request),  # noqa: B023
            lambda: services.cancel_request(actor=site.actor, request=request),  # noqa: B023
        )
        # Cancel is allowed until the ceremony runs, so it always ends here; the approval may have come first.
        assert fresh(request).state == "Cancelled"
        check_books(request)
        assert not Job.objects.filter(done_at__isnull=True).exists()
    assert Ceremony.objects.count() == 0


def test_cancel_against_start(site: Site) -> None:
    for _ in range(ROUNDS):
        request = site.approved(site.new_group())
        job = Job.objects.get(done_at__isnull=True, kind="start_ceremony")
        at_once(
            lambda: driver.run(job.pk),  # noqa: B023
            lambda: services.cancel_request(actor=site.actor, request=request),  # noqa: B023
        )
        state = fresh(request).state
        assert state in ("Running", "Cancelled")
        assert Ceremony.objects.filter(request=request).exists() == (state == "Running")
        check_books(request)
        Ceremony.objects.update(state="failed")
        Job.objects.all().delete()


def test_all_approvals_at_once(site: Site) -> None:
    for _ in range(ROUNDS):
        request = site.request()
        at_once(*[lambda signer=signer: signer.decide(request) for signer in site.signers])  # noqa: B023
        assert fresh(request).state == "Approved"
        assert Approval.objects.filter(request=request).count() == 3
        assert RequestEvent.objects.filter(request=request, kind="transition").count() == 1
        assert Job.objects.filter(reference=request.id).count() == 1
        check_books(request)
        services.cancel_request(actor=site.actor, request=request)


def test_last_approval_against_reject(site: Site) -> None:
    winners = set()
    for _ in range(ROUNDS):
        request = site.request()
        site.signers[0].decide(request)
        yes, no = site.signers[1:]
        at_once(lambda: yes.decide(request), lambda: no.decide(request, "reject"))  # noqa: B023
        winners.add(fresh(request).state)
        check_books(request)
    assert winners == {"Rejected"}


def test_same_holder_decides_twice_at_once(site: Site) -> None:
    for _ in range(ROUNDS):
        request = site.request()
        alice = site.signers[0]
        first, second = at_once(
            lambda: alice.decide(request),  # noqa: B023
            lambda: alice.decide(request, "reject"),  # noqa: B023
        )
        # The one that came second is told so, and has left no trace.
        assert (first is None) != (second is None)
        stored = Approval.objects.get(request=request)
        assert stored.decision == ("approve" if first is None else "reject")
        check_books(request)
        if fresh(request).state == "AwaitingApproval":
            services.cancel_request(actor=site.actor, request=request)


def test_one_job_and_many_workers(site: Site) -> None:
    for _ in range(ROUNDS):
        site.approved(site.new_group())
        job = Job.objects.get(done_at__isnull=True)
        results = at_once(*[lambda: driver.run(job.pk)] * 4)  # noqa: B023
        assert results.count(True) == 1
        assert Ceremony.objects.filter(state="open").count() == 1
        Ceremony.objects.update(state="failed")
        Job.objects.all().delete()


def test_two_requests_for_one_group(site: Site) -> None:
    for number in range(1, ROUNDS + 1):
        results = at_once(site.request, site.request)
        made = [result for result in results if isinstance(result, TssRequest)]
        assert len(made) == 1
        assert RowCount.objects.get(scope=f"tss_requests:{site.group.id}").count == number
        services.cancel_request(actor=site.actor, request=made[0])


def test_last_messages_of_a_round_at_once(site: Site) -> None:
    """Whoever comes last counts all: a round is never left complete and uncounted."""
    for _ in range(ROUNDS):
        ceremony = site.started(site.new_group())
        at_once(*[lambda signer=signer: signer.send(ceremony, 0, b"hello") for signer in site.signers])  # noqa: B023
        assert Ceremony.objects.get(pk=ceremony.pk).round == 1
        site.signers[0].abort(ceremony, 1, code="operator", message="next")


def test_certificate_against_failure(site: Site) -> None:
    """R25: a request has failed exactly if it has no certificate, whoever came first."""
    for _ in range(5):
        ceremony = site.started(site.new_group())
        for signer in site.signers:
            signer.certificate = None
        site.run(ceremony)
        alice, _, carol = site.signers
        at_once(
            lambda: alice.hand_in(ceremony),  # noqa: B023
            lambda: carol.hand_in(ceremony),  # noqa: B023
            lambda: ceremonies.fail(ceremony, actor=site.actor, reason="stopped", blamed=[]),  # noqa: B023
        )
        certified = ShareSet.objects.filter(ceremony=ceremony).exists()
        assert fresh(ceremony.request).state == ("Running" if certified else "Failed")
        check_books(ceremony.request)
        Ceremony.objects.update(state="failed")


def test_two_messages_for_one_slot_at_once(site: Site) -> None:
    for _ in range(ROUNDS):
        ceremony = site.started(site.new_group())
        alice = site.signers[0]
        results = at_once(
            lambda: alice.send(ceremony, 0, b"one"),  # noqa: B023
            lambda: alice.send(ceremony, 0, b"two"),  # noqa: B023
        )
        assert next(result for result in results if result is not None).code == "equivocation"
        assert Message.objects.filter(ceremony=ceremony).count() == 1
        assert Evidence.objects.filter(ceremony=ceremony).count() == 1
        assert fresh(ceremony.request).failed_node_ids == [alice.node_id]
        check_books(ceremony.request)
