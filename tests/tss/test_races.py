"""Decisions at the same moment, on real connections: exactly one wins, nothing counts twice (P06, P07).

Each race is run with many random interleavings (tests/tss/racing.py).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import services as audit
from tests.tss.books import check_books
from tests.tss.nodes import Signer, Site, drive, fresh
from tests.tss.racing import ROUNDS, racers
from tss import ceremonies, driver, schedule, services
from tss.errors import ItemRefused
from tss.models import (
    Approval,
    Ceremony,
    CeremonyState,
    Evidence,
    Job,
    JobKind,
    Message,
    RequestEvent,
    ShareSet,
    TssRequest,
)
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Group, RowCount

pytestmark = pytest.mark.django_db(transaction=True)
rounds_of = pytest.mark.parametrize("rounds", ROUNDS)
few = pytest.mark.embedded


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def worker(request: TssRequest) -> Callable[[], bool]:
    """What a worker does that was rung for the request: it finds the start job, or none yet."""

    def work() -> bool:
        job = Job.objects.filter(kind=JobKind.START_CEREMONY, reference=request.id, done_at=None).first()
        return job is not None and driver.run(job.pk)

    return work


def cancelling(site: Site, request: TssRequest) -> Callable[[], TssRequest]:
    return lambda: services.cancel_request(actor=site.actor, request=request)


def deciding(signer: Signer, request: TssRequest, decision: str = "approve") -> Callable[[], None]:
    return lambda: signer.decide(request, decision)


def all_but_last(site: Site) -> tuple[TssRequest, Signer]:
    """A request that one approval is missing to, and who has it."""
    request = site.request()
    *first, last = site.signers
    for signer in first:
        signer.decide(request)
    return request, last


def one_outcome(request: TssRequest, *allowed: str) -> str:
    """The state, once the books agree: a ceremony is open if it runs, a start job if it is approved."""
    state = fresh(request).state
    assert state in allowed
    assert Ceremony.objects.filter(request=request, state=CeremonyState.OPEN).count() == (state == "Running")
    jobs = Job.objects.filter(kind=JobKind.START_CEREMONY, reference=request.id, done_at=None)
    assert jobs.count() == (state == "Approved")
    check_books(request, chain=False)
    return state


def clear(site: Site, request: TssRequest) -> None:
    """Let the next round have the group and the vault."""
    ceremony = Ceremony.objects.filter(request=request, state=CeremonyState.OPEN).first()
    if ceremony is not None:
        ceremonies.fail(ceremony, actor=site.actor, reason="next round", blamed=[])
    elif fresh(request).state in ("AwaitingApproval", "Approved"):
        services.cancel_request(actor=site.actor, request=request)


def refusals(results: list[Any]) -> int:
    return sum(isinstance(result, ServiceError | ItemRefused) for result in results)


@rounds_of
def test_p06_last_approval_against_cancel(site: Site, rounds: int) -> None:
    """After a cancel that won there is no ceremony; a start that won cannot be cancelled."""
    approval, cancel = 0, 1
    with racers(3) as run:
        for number in range(rounds):
            request, last = all_but_last(site)
            # An approval takes longer than a cancel, so by chance it is seldom first: see to it in turn.
            first = (None, approval, cancel)[number % 3]
            calls = deciding(last, request), cancelling(site, request), worker(request)
            results = run.race(*calls, first=first)
            state = one_outcome(request, "Cancelled", "Running")
            assert (state == "Running") == isinstance(results[cancel], ServiceError)
            received = Approval.objects.filter(request=request).count()
            assert received == (2 if isinstance(results[approval], ItemRefused) else 3)
            if first is not None:
                assert received == (3 if first == approval else 2)
                assert results[first] is None or fresh(request).state == "Cancelled"
            clear(site, request)
    assert audit.verify() is None


@rounds_of
def test_p07_last_approval_against_reject(keyed: Site, rounds: int) -> None:
    """Of a vote that needs two of three the third may reject, as long as the ceremony has not begun."""
    a, b, c = keyed.signers
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    with racers(3) as run:
        for _ in range(rounds):
            request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
            for signer in (*keyed.others, a):
                signer.decide(request)
            _, reject, _ = run.race(deciding(b, request), deciding(c, request, "reject"), worker(request))
            state = one_outcome(request, "Rejected", "Running")
            assert (state == "Running") == isinstance(reject, ItemRefused)
            clear(keyed, request)
    assert audit.verify() is None


@rounds_of
def test_p07_last_approval_against_expiry(site: Site, rounds: int) -> None:
    seen = set()
    with racers(3) as run:
        for _ in range(rounds):
            request, last = all_but_last(site)
            soon = timezone.now() + timedelta(milliseconds=3)
            TssRequest.objects.filter(pk=request.pk).update(expires_at=soon)
            run.race(deciding(last, request), services.expire_overdue, worker(request))
            while fresh(request).state in ("AwaitingApproval", "Approved"):
                services.expire_overdue()
            seen.add(one_outcome(request, "Expired", "Running"))
            clear(site, request)
    assert audit.verify() is None
    assert "Expired" in seen


@rounds_of
def test_p15_last_approval_against_withdraw(keyed: Site, rounds: int) -> None:
    """A withdrawal either comes before the start and counts, or is refused."""
    a, b, _ = keyed.signers
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    with racers(3) as run:
        for _ in range(rounds):
            request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
            for signer in (*keyed.others, a):
                signer.decide(request)
            _, withdraw, _ = run.race(deciding(b, request), deciding(a, request, "withdraw"), worker(request))
            state = one_outcome(request, "AwaitingApproval", "Running")
            assert (state == "Running") == isinstance(withdraw, ItemRefused)
            clear(keyed, request)
    assert audit.verify() is None


@rounds_of
def test_a10_two_creates_for_one_target(site: Site, rounds: int) -> None:
    with racers(2) as run:
        for number in range(1, rounds + 1):
            results = run.race(site.request, site.request)
            (made,) = [result for result in results if isinstance(result, TssRequest)]
            assert refusals(results) == 1
            assert RowCount.objects.get(scope=f"tss_requests:{site.group.id}").count == number
            one_outcome(made, "AwaitingApproval")
            clear(site, made)
    assert audit.verify() is None


@rounds_of
def test_approvals_arriving_at_once(site: Site, rounds: int) -> None:
    with racers(4) as run:
        for _ in range(rounds):
            request = site.request()
            results = run.race(*(deciding(signer, request) for signer in site.signers), worker(request))
            assert refusals(results) == 0
            one_outcome(request, "Approved", "Running")
            assert Approval.objects.filter(request=request).count() == 3
            won = RequestEvent.objects.filter(request=request, kind="transition", state="Approved")
            assert won.count() == 1
            clear(site, request)
    assert audit.verify() is None


@rounds_of
def test_refresh_against_key_gen_from_key_group_of_one_main_group(keyed: Site, rounds: int) -> None:
    """R24: two workers, two approved requests of one key: one begins, the other waits its turn."""
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    seen = set()
    with racers(4) as run:
        for _ in range(rounds):
            refresh = keyed.approved(type="Refresh")
            sharing = keyed.approved(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
            run.race(worker(refresh), worker(sharing), worker(refresh), worker(sharing))
            states = {one_outcome(each, "Approved", "Running") for each in (refresh, sharing)}
            assert states == {"Approved", "Running"}
            assert Ceremony.objects.filter(state=CeremonyState.OPEN).count() == 1
            seen.add(fresh(refresh).state)
            for each in (refresh, sharing):
                clear(keyed, each)
                clear(keyed, each)
    assert audit.verify() is None
    assert seen == {"Approved", "Running"}


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(10, id="10", marks=few),
        pytest.param(250, id="250", marks=[pytest.mark.campaign, pytest.mark.timeout(1800)]),
    ],
)
def test_47_success_of_a_refresh_against_the_start_of_a_key_gen_from_key_group(
    keyed: Site, rounds: int
) -> None:
    """Nothing is ever dealt from a set that was superseded, and no share set is lost on the way."""
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    with racers(3) as run:
        for epoch in range(2, rounds + 2):
            sharing = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
            for signer in (*keyed.others, keyed.signers[0]):
                signer.decide(sharing)
            ceremony = keyed.started(type="Refresh")
            keyed.run(ceremony)
            keyed.signers[0].hand_in(ceremony)
            run.race(
                lambda: drive(ceremony),  # noqa: B023
                deciding(keyed.signers[1], sharing),
                worker(sharing),
            )
            one_outcome(ceremony.request, "Succeeded")
            one_outcome(sharing, "Unsatisfiable")
            assert not Ceremony.objects.filter(request=sharing).exists()
            (active,) = ShareSet.objects.filter(group=keyed.group, active=True)
            assert active.epoch == epoch
    assert audit.verify() is None


@few
def test_p12_decree_against_the_start_of_a_ceremony(keyed: Site) -> None:
    """What begins, begins under the policy that its intent names."""
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    with racers(2) as run:
        for number in range(25):
            sharing = keyed.approved(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
            decree = keyed.approved(type="PolicyChange", policy={"erase_grace": number})
            run.race(worker(sharing), worker(decree))
            if one_outcome(sharing, "Running", "Unsatisfiable") == "Running":
                # The decree had to wait until it was open, and will be applied after it.
                assert fresh(decree).state == "Approved"
                clear(keyed, sharing)
                keyed.start_job(decree)
            assert fresh(decree).state == "Succeeded"


@few
def test_t06_sweepers_that_ask_for_a_scheduled_refresh(keyed: Site) -> None:
    vaults.schedule_refresh(actor=keyed.actor, group=keyed.group, every_days=1)
    with racers(3) as run:
        for number in range(1, 26):
            Group.objects.filter(pk=keyed.group.pk).update(next_refresh_at=timezone.now())
            run.race(schedule.refresh_due, schedule.refresh_due, schedule.refresh_due)
            assert TssRequest.objects.filter(type="Refresh").count() == number
            clear(keyed, TssRequest.objects.filter(type="Refresh").latest("created_at"))


@few
def test_same_holder_decides_twice_at_once(site: Site) -> None:
    alice = site.signers[0]
    with racers(2) as run:
        for _ in range(25):
            request = site.request()
            first, second = run.race(deciding(alice, request), deciding(alice, request, "reject"))
            # The one that came second is told so, and has left no trace.
            assert (first is None) != (second is None)
            stored = Approval.objects.get(request=request)
            assert stored.decision == ("approve" if first is None else "reject")
            one_outcome(request, "AwaitingApproval", "Rejected")
            clear(site, request)


@few
def test_one_job_and_many_workers(site: Site) -> None:
    with racers(4) as run:
        for _ in range(25):
            request = site.approved()
            job = Job.objects.get(reference=request.id, done_at__isnull=True)
            results = run.race(*[lambda: driver.run(job.pk)] * 4)  # noqa: B023
            assert results.count(True) == 1
            one_outcome(request, "Running")
            clear(site, request)


@few
def test_last_messages_of_a_round_at_once(site: Site) -> None:
    """Whoever comes last counts all: a round is never left complete and uncounted."""
    with racers(3) as run:
        for _ in range(25):
            ceremony = site.started(site.new_group())
            run.race(*(lambda each=each: each.send(ceremony, 0, b"hello") for each in site.signers))  # noqa: B023
            assert Ceremony.objects.get(pk=ceremony.pk).round == 1
            site.signers[0].abort(ceremony, 1, code="operator", message="next")


@few
def test_certificate_against_failure(site: Site) -> None:
    """R25, R26: whoever came first, the certificate is kept and the request is not lost."""
    with racers(3) as run:
        for _ in range(10):
            ceremony = site.started(site.new_group())
            site.run(ceremony)
            alice, _, carol = site.signers
            run.race(
                lambda: alice.hand_in(ceremony),  # noqa: B023
                lambda: carol.hand_in(ceremony),  # noqa: B023
                lambda: ceremonies.fail(ceremony, actor=site.actor, reason="stopped", blamed=[]),  # noqa: B023
            )
            assert ShareSet.objects.filter(ceremony=ceremony).count() == 1
            ceremony.refresh_from_db()
            where = (fresh(ceremony.request).state, ceremony.state)
            assert where in (("Running", "open"), ("Failed", "stalled"))
            check_books(ceremony.request)
            Ceremony.objects.update(state="failed")


@few
def test_two_messages_for_one_slot_at_once(site: Site) -> None:
    with racers(2) as run:
        for _ in range(25):
            ceremony = site.started(site.new_group())
            alice = site.signers[0]
            results = run.race(
                lambda: alice.send(ceremony, 0, b"one"),  # noqa: B023
                lambda: alice.send(ceremony, 0, b"two"),  # noqa: B023
            )
            assert next(result for result in results if result is not None).code == "equivocation"
            assert Message.objects.filter(ceremony=ceremony).count() == 1
            assert Evidence.objects.filter(ceremony=ceremony).count() == 1
            assert fresh(ceremony.request).failed_node_ids == [alice.node_id]
            check_books(ceremony.request)
