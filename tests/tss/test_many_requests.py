"""T07: a hundred thousand pending requests: what runs all the time reads by index, and little."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import rationing
from tests.tss.nodes import Site
from tss import inbox, reconcile, selectors, tasks
from tss.models import Ceremony, Job, TssRequest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANY = 100_000
# What grows with the number of requests.
LARGE = {"vaults_group", "tss_tssrequest", "tss_voter", "tss_approval", "tss_job"}


def copy(table: str, pk: Any, **changes: str) -> None:
    """Insert MANY copies of a row; changes: column -> SQL over n, the number of the copy."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table])
        columns = [name for (name,) in cursor.fetchall() if name not in changes and name != "id"]
        names = ", ".join([*columns, *changes])
        values = ", ".join([*columns, *changes.values()])
        source = f"{table}, generate_series(1, {MANY}) AS n WHERE {table}.id = %s"
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {source}", [pk])  # noqa: S608


@pytest.fixture
def crowd(db: None) -> Site:
    """MANY requests that await the approval of Holder C, each for a group and with a job of its own."""
    with connection.cursor() as cursor:
        # Filling tables, and checking all their constraints at the end, is not what the site's limit is for.
        cursor.execute("SET LOCAL statement_timeout = 0")
    site = Site.make()
    request = site.request()
    _, bob, carol = site.signers
    bob.decide(request)
    number, group = "lpad(n::text, 32, '0')", "lpad(n::text, 32, '0')::uuid"
    digest = "lpad(n::text, 64, '0')"
    copy("vaults_group", site.group.pk, id=group)
    copy("tss_tssrequest", request.pk, id=number, digest=digest, target_group_id=group)
    copy("tss_voter", request.voters.get(node=carol.node_id).pk, request_id=number)
    copy("tss_approval", request.approvals.get().pk, request_id=number)
    job = Job.objects.create(kind="start_ceremony", reference="x", due_at=timezone.now() + timedelta(days=1))
    copy("tss_job", job.pk, reference="n::text")
    analyse()
    assert TssRequest.objects.count() == MANY + 1
    return site


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def scans(act: Callable[[], object]) -> tuple[int, set[str]]:
    """How many queries `act` makes, and which large tables they read from end to end."""
    with CaptureQueriesContext(connection) as captured:
        act()
    read: set[str] = set()
    for query in captured.captured_queries:
        if query["sql"].startswith(("SELECT", "UPDATE", "DELETE")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                [[plan]] = cursor.fetchall()
            read |= _scanned(json.loads(plan) if isinstance(plan, str) else plan)
    return len(captured), read & LARGE


def _scanned(plan: Any) -> set[str]:
    if isinstance(plan, list):
        return set().union(*map(_scanned, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
    return own.union(*map(_scanned, plan.values()))


def test_t07_everything_that_runs_all_the_time(crowd: Site) -> None:
    """One test, since the rows take the time."""
    assert scans(lambda: list(TssRequest.objects.filter(description="no index"))) == (1, {"tss_tssrequest"})
    sweep_with_nothing_to_do()
    call_of_a_node(crowd)
    page_of_a_groups_requests(crowd)
    life_of_a_request(crowd)
    sweep_of_many_that_are_due()


def sweep_with_nothing_to_do() -> None:
    queries, scanned = scans(tasks.sweep)
    assert (scanned, queries <= 5) == (set(), True)


def call_of_a_node(site: Site) -> None:
    """Of one that all requests ask, and of one that few ask."""
    alice, _, carol = site.signers
    for signer in (alice, carol):
        for known in (frozenset[str](), frozenset(f"{n:064d}" for n in range(1, 1000))):
            ask = inbox.Ask(known, {}, {})
            rationing.forget()
            queries, scanned = scans(lambda: inbox.read(signer.row, ask))  # noqa: B023
            assert (scanned, queries <= 10) == (set(), True), signer.name


def page_of_a_groups_requests(site: Site) -> None:
    rows = selectors.compatible_requests(vault=site.vault, group_id=site.group.id)
    queries, scanned = scans(lambda: list(rows.order_by("-created_at", "-id")[:50]))
    assert (scanned, queries) == (set(), 3)


def life_of_a_request(site: Site) -> None:
    request = site.group.tss_requests.get()
    assert scans(lambda: site.approve(request))[1] == set()
    assert scans(lambda: site.start_job(request))[1] == set()
    assert scans(lambda: reconcile.problem(site.vault.id))[1] == set()
    ceremony = Ceremony.objects.select_related("request").get()
    assert scans(lambda: site.signers[0].abort(ceremony, 0, code="operator", message="stop"))[1] == set()


def sweep_of_many_that_are_due() -> None:
    """It takes a part each time, and the next one goes on."""
    overdue = TssRequest.objects.filter(state="AwaitingApproval")
    overdue.update(expires_at=timezone.now())
    analyse()
    before = overdue.count()
    assert scans(tasks.sweep)[1] == set()
    assert overdue.count() == before - 200
