"""Figures of requests, ceremonies and jobs for Prometheus, each read by an index."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Count, Max, QuerySet
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from tss import jobs
from tss.models import (
    OPEN_STATES,
    Approval,
    Ceremony,
    CeremonyState,
    Job,
    Message,
    RequestEvent,
    State,
    TssRequest,
)
from wire.envelope import ROUND_MESSAGE

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# The latest ones of the hour: a busy site must not pay for its figures.
_MAX_CEREMONIES = 500
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


def collect() -> Iterator[Metric]:
    """Due work, requests by state, decisions, and how long the phases of the last hour's ceremonies took."""
    yield from _jobs()
    yield from _requests()
    yield _decisions()
    yield _phases()


def _jobs() -> Iterator[Metric]:
    waiting = Job.objects.filter(done_at__isnull=True)
    yield GaugeMetricFamily("quorate_jobs_open", "Jobs that are not done.", waiting.count())
    oldest = jobs.oldest_due_s()
    yield GaugeMetricFamily(
        "quorate_job_oldest_due_seconds",
        "How long a job has been due, the oldest one.",
        oldest or 0,
    )


def _requests() -> Iterator[Metric]:
    still_open = TssRequest.objects.filter(state__in=OPEN_STATES)
    yield _by_state("quorate_requests_open", "Open requests by state.", still_open, OPEN_STATES)
    made = TssRequest.objects.filter(pk__gte=_first_id(_DAY))
    yield _by_state(
        "quorate_requests_day", "Requests made in the last 24 hours by state.", made, tuple(State)
    )


def _by_state(name: str, words: str, rows: QuerySet[TssRequest], states: Iterable[State]) -> Metric:
    counts = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    gauge = GaugeMetricFamily(name, words, labels=["state"])
    for state in states:
        gauge.add_metric([state], counts.get(state, 0))
    return gauge


def _decisions() -> Metric:
    gauge = GaugeMetricFamily(
        "quorate_decisions_day", "Holders' decisions on requests of the last 24 hours.", labels=["decision"]
    )
    recent = Approval.objects.filter(request_id__gte=_first_id(_DAY)).order_by()
    for decision, count in recent.values_list("decision").annotate(Count("pk")):
        gauge.add_metric([decision], count)
    return gauge


def _phases() -> Metric:
    """approval: made until approved; queue: until the ceremony began; round_k: until its messages were there;
    certificate: from then until Success."""
    family = HistogramMetricFamily(
        "quorate_phase_seconds",
        "Phases of ceremonies that succeeded, of requests made in the last hour.",
        labels=["phase"],
    )
    for phase, seconds in sorted(_durations().items()):
        buckets = [(str(limit), sum(each <= limit for each in seconds)) for limit in _BUCKETS]
        family.add_metric([phase], [*buckets, ("+Inf", len(seconds))], sum(seconds))
    return family


def _durations() -> dict[str, list[float]]:
    recent = Ceremony.objects.filter(request_id__gte=_first_id(_HOUR), state=CeremonyState.SUCCEEDED)
    ceremonies = list(recent.order_by("-request_id").select_related("request")[:_MAX_CEREMONIES])
    ids = [each.request_id for each in ceremonies]
    approved = dict(
        RequestEvent.objects.filter(request__in=ids, state=State.APPROVED)
        .order_by()
        .values_list("request")
        .annotate(Max("time"))
    )
    rounds: defaultdict[str, list[tuple[str, datetime]]] = defaultdict(list)
    messages = Message.objects.filter(ceremony__in=ceremonies, type=ROUND_MESSAGE).order_by("round")
    for ceremony, number, time in messages.values_list("ceremony", "round").annotate(Max("received_at")):
        rounds[ceremony].append((f"round_{number}", time))
    found: defaultdict[str, list[float]] = defaultdict(list)
    for each in ceremonies:
        moments = [
            ("", each.request.created_at),
            ("approval", approved.get(each.request_id, each.started_at)),
        ]
        moments += [("queue", each.started_at), *rounds[each.session_id]]
        moments.append(("certificate", each.finished_at or each.progress_at))
        for (_, before), (phase, after) in pairwise(moments):
            found[phase].append(max(0.0, (after - before).total_seconds()))
    return found


def _first_id(age: timedelta) -> str:
    """Ids of requests begin with the time at which they were made: the key is an index by time."""
    return (timezone.now() - age).strftime("%Y%m%d%H%M%S")
