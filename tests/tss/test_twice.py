"""Work that is done twice, at once, too late or half: it has one effect (T01, T03, T04, T05).

On connections of their own, so that what one writer has not committed the other does not see.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from tests.tss.books import check_books
from tests.tss.nodes import Site, and_close, drive, fresh
from tss import ceremonies, certificates, driver, jobs, opening, publish, tasks
from tss.models import Ceremony, Job, JobKind, Message, RequestEvent, ShareSet, TssRequest
from vaults.models import Group, RootKey

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 10


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def twice(act: Callable[[], object]) -> None:
    """`act` in two threads that start together; what either raises is raised."""
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait(timeout=10)
        act()

    with ThreadPoolExecutor(2) as pool:
        for running in [pool.submit(and_close(run)) for _ in range(2)]:
            running.result(timeout=60)


def elsewhere(act: Callable[[], object]) -> None:
    """`act` on another connection, from beginning to end."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(and_close(act)).result(timeout=60)


def open_job(kind: JobKind) -> int:
    return Job.objects.get(kind=kind, done_at__isnull=True).pk


def transitions(request: TssRequest, state: str) -> int:
    return RequestEvent.objects.filter(request=request, kind="transition", state=state).count()


def test_t03_start_task_twice_at_once(site: Site) -> None:
    for _ in range(TIMES):
        request = site.approved(site.new_group())
        job = open_job(JobKind.START_CEREMONY)
        twice(lambda: tasks.run_job(job))  # noqa: B023
        assert transitions(request, "Running") == 1
        assert Ceremony.objects.filter(request=request).count() == 1
        check_books(request)
        site.signers[0].abort(request.ceremonies.get(), 0, code="operator", message="next")


def test_t03_drive_task_twice_at_once(site: Site) -> None:
    site.succeeded()
    for epoch in range(2, 2 + TIMES // 2):
        ceremony = site.started(type="Refresh")
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
        job = open_job(JobKind.DRIVE_CEREMONY)
        twice(lambda: tasks.run_job(job))  # noqa: B023
        assert transitions(ceremony.request, "Succeeded") == 1
        assert ShareSet.objects.get(active=True).epoch == epoch
        check_books(ceremony.request)
    assert RootKey.objects.count() == 2


def test_t03_sweep_task_twice_at_once(site: Site) -> None:
    """It expires, and asks for the Refresh that is due, once."""
    site.succeeded()
    for number in range(1, 1 + TIMES):
        late = site.request(site.new_group(type="SigningGroup"), **_from_main(site))
        TssRequest.objects.filter(pk=late.pk).update(expires_at=timezone.now())
        Group.objects.filter(pk=site.group.pk).update(
            refresh_every=timedelta(days=1), next_refresh_at=timezone.now()
        )
        twice(lambda: tasks.sweep())
        assert transitions(late, "Expired") == 1
        check_books(late)
        refreshes = TssRequest.objects.filter(type="Refresh")
        assert refreshes.count() == number
        TssRequest.objects.filter(type="Refresh").update(state="Cancelled")


def test_t03_prune_task_twice_at_once(site: Site) -> None:
    ceremony = site.started()
    site.play(ceremony, rounds=1)
    site.signers[0].abort(ceremony, 1, code="operator", message="stopped")
    Ceremony.objects.update(finished_at=timezone.now() - timedelta(days=30))
    assert Message.objects.exists()
    twice(tasks.prune)
    assert not Message.objects.exists()


@pytest.mark.parametrize("kind", list(JobKind))
def test_t04_message_that_comes_again_while_its_task_works(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: JobKind
) -> None:
    """The visibility timeout is shorter than the task: the broker gives the message to another worker."""
    request = site.approved()
    if kind == JobKind.DRIVE_CEREMONY:
        ceremony = site.start(request)
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
    job, step, again = open_job(kind), driver._STEPS[kind], list[bool]()

    def slow(reference: str, lease: jobs.Lease) -> Any:
        elsewhere(lambda: again.append(driver.run(job)))
        return step(reference, lease)

    monkeypatch.setitem(driver._STEPS, kind, slow)
    assert driver.run(job)
    assert again == [False]
    state = "Running" if kind == JobKind.START_CEREMONY else "Succeeded"
    assert (fresh(request).state, transitions(request, state)) == (state, 1)
    check_books(request)


def test_t04_worker_that_slept_past_its_lease_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor has done the work before it wakes in the middle of the step."""
    ceremony = site.started()
    site.run(ceremony)
    site.signers[0].hand_in(ceremony)
    job, examine = open_job(JobKind.DRIVE_CEREMONY), certificates.examine
    sleeping = [True]

    def slept(*arguments: Any) -> Any:
        if sleeping:
            sleeping.clear()
            Job.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
            elsewhere(lambda: driver.run(job))
            assert fresh(ceremony.request).state == "Succeeded"
        return examine(*arguments)

    monkeypatch.setattr(certificates, "examine", slept)
    driver.run(job)
    assert not sleeping
    assert transitions(ceremony.request, "Succeeded") == 1
    check_books(ceremony.request)


def _from_main(site: Site) -> dict[str, str]:
    return {"type": "KeyGenFromKeyGroup", "source_group_id": str(site.group.id)}


class Killed(BaseException):
    """SIGKILL, as far as a process can do it to itself."""


def killed(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        (JobKind.START_CEREMONY, opening, "settle"),
        (JobKind.START_CEREMONY, opening, "transition"),
        (JobKind.START_CEREMONY, jobs.Lease, "settle"),
        (JobKind.DRIVE_CEREMONY, ceremonies, "_finish"),
        (JobKind.DRIVE_CEREMONY, ceremonies, "_end"),
        (JobKind.DRIVE_CEREMONY, publish, "publish"),
        (JobKind.DRIVE_CEREMONY, publish, "recheck"),
        (JobKind.DRIVE_CEREMONY, jobs.Lease, "settle"),
    ],
)
def test_t01_worker_killed_within_a_step(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: JobKind, module: Any, name: str
) -> None:
    """Its lease runs out, and the next worker ends what it began: once."""
    site.succeeded()
    request = site.approved(type="Refresh")
    if kind == JobKind.DRIVE_CEREMONY:
        ceremony = site.start(request)
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
    job = open_job(kind)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            driver.run(job)
    # While the lease lasts nobody takes the job over.
    assert not driver.run(job)
    Job.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    tasks.run_job(job)
    if kind == JobKind.START_CEREMONY:
        ceremony = request.ceremonies.get()
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
        drive(ceremony)
    assert fresh(request).state == "Succeeded"
    for state in ("Running", "Succeeded"):
        assert transitions(request, state) == 1
    assert ShareSet.objects.get(active=True).epoch == 2
    check_books(request)


@pytest.mark.parametrize(("module", "name"), [(opening, "transition"), (publish, "recheck")])
def test_t05_connection_cut_within_a_step(
    site: Site, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    """Postgres ends the worker's session in the middle of its transaction: nothing of it stays."""
    site.succeeded()
    request = site.approved(type="Refresh")
    kind = JobKind.START_CEREMONY
    if module is publish:
        kind, ceremony = JobKind.DRIVE_CEREMONY, site.start(request)
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
    job, before = open_job(kind), fresh(request)

    def cut(*_: Any, **__: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, cut)
        with pytest.raises(OperationalError):
            elsewhere(lambda: driver.run(job))
    assert (fresh(request).state, fresh(request).version) == (before.state, before.version)
    # On a new connection the worker has given the job back, to be tried again.
    assert Job.objects.get(pk=job).leased_until is None
    Job.objects.update(due_at=timezone.now())
    tasks.run_job(job)
    assert fresh(request).state == ("Running" if kind == JobKind.START_CEREMONY else "Succeeded")
    check_books(request)


@pytest.mark.parametrize("kind", list(JobKind))
def test_t05_connection_cut_after_commit_was_sent(
    site: Site, monkeypatch: pytest.MonkeyPatch, kind: JobKind
) -> None:
    """The worker sees an error, and yet the step is done: doing it again changes nothing."""
    request = site.approved()
    if kind == JobKind.DRIVE_CEREMONY:
        ceremony = site.start(request)
        site.run(ceremony)
        site.signers[0].hand_in(ceremony)
    job, step = open_job(kind), driver._STEPS[kind]

    def unheard(reference: str, lease: jobs.Lease) -> None:
        step(reference, lease)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setitem(driver._STEPS, kind, unheard)
        with pytest.raises(OperationalError):
            driver.run(job)
    state = "Running" if kind == JobKind.START_CEREMONY else "Succeeded"
    assert fresh(request).state == state
    Job.objects.filter(pk=job).update(due_at=timezone.now())
    tasks.run_job(job)
    assert transitions(request, state) == 1
    assert Job.objects.get(pk=job).done_at is not None
    check_books(request)


def test_t01_web_process_killed_between_certificate_and_bell(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweeper finds the job: losing the bell costs time only."""
    ceremony = site.started()
    site.run(ceremony)
    delivered: list[int] = []
    monkeypatch.setattr(jobs, "deliver", delivered.append)
    site.signers[0].hand_in(ceremony)
    delivered.clear()
    tasks.sweep()
    assert delivered == [open_job(JobKind.DRIVE_CEREMONY)]
    tasks.run_job(delivered[0])
    assert fresh(ceremony.request).state == "Succeeded"


def test_last_prepared_against_the_deadline(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round is completed while the failure is being decided: it stalls, for somebody may activate now."""
    site.succeeded()
    ceremony = site.started(type="Refresh")
    site.play(ceremony, rounds=1)
    *others, last = site.signers
    for signer in others:
        signer.receive(ceremony)
    decide, late = ceremonies._may_be_activated, [True]

    def slow(seen: Ceremony) -> bool:
        decided = decide(seen)
        if late:
            late.clear()
            elsewhere(lambda: last.receive(Ceremony.objects.get(pk=ceremony.pk)))
        return decided

    monkeypatch.setattr(ceremonies, "_may_be_activated", slow)
    Ceremony.objects.filter(pk=ceremony.pk).update(deadline=ceremony.started_at)
    drive(ceremony)
    assert not late
    ceremony.refresh_from_db()
    assert (ceremony.state, ceremony.round) == ("stalled", 3)
