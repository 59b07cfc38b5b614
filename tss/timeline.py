"""Everything that happened to a request, in the order in which it happened."""

from typing import Any

from django.db.models import Count, Max

from tss.dossier import names_by_node
from tss.models import Message, SetStatement, TssRequest
from tss.representation import milliseconds
from wire.envelope import ROUND_MESSAGE

_NODE = "node:"


def timeline(request: TssRequest) -> dict[str, Any]:
    """`entries`, oldest first: transitions and notes, ceremonies, complete rounds, statements about sets."""
    names = names_by_node(request)
    # By time, and among equal times in the order of the versions.
    entries = sorted(
        [*_events(request, names), *_ceremonies(request), *_rounds(request), *_statements(request, names)],
        key=lambda entry: entry["time"],
    )
    return {"tss_request_id": request.id, "state": request.state, "entries": entries}


def _events(request: TssRequest, names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "time": milliseconds(event.time),
            "kind": event.kind,
            "state": event.state,
            "actor": event.actor,
            "name": names.get(event.actor.removeprefix(_NODE), ""),
            "version": event.version,
            "detail": event.detail,
        }
        for event in request.events.order_by("version")
    ]


def _ceremonies(request: TssRequest) -> list[dict[str, Any]]:
    entries = []
    for ceremony in request.ceremonies.order_by("started_at"):
        common = {"session_id": ceremony.session_id, "attempt": ceremony.attempt}
        began = {**common, "dealers": ceremony.dealers, "participants": ceremony.participants}
        entries.append({"time": milliseconds(ceremony.started_at), "kind": "ceremony_began", "detail": began})
        if ceremony.finished_at is not None:
            ended = {
                **common,
                "ended": ceremony.state,
                "reason": ceremony.reason,
                "blamed_node_ids": ceremony.blamed_node_ids,
                "proven": ceremony.proven,
            }
            time = milliseconds(ceremony.finished_at)
            entries.append({"time": time, "kind": "ceremony_ended", "detail": ended})
    return entries


def _rounds(request: TssRequest) -> list[dict[str, Any]]:
    heard = (
        Message.objects.filter(ceremony__request=request, type=ROUND_MESSAGE)
        .values("ceremony", "ceremony__participants", "round")
        .annotate(count=Count("pk"), last=Max("received_at"))
    )
    return [
        {
            "time": milliseconds(row["last"]),
            "kind": "round_complete",
            "detail": {"session_id": row["ceremony"], "round": row["round"] + 1},
        }
        for row in heard
        if row["count"] == row["ceremony__participants"]
    ]


def _statements(request: TssRequest, names: dict[str, str]) -> list[dict[str, Any]]:
    rows = SetStatement.objects.filter(ceremony__request=request).order_by("received_at", "pk")
    return [
        {
            "time": milliseconds(row.received_at),
            "kind": f"set_{row.state}",
            "actor": f"{_NODE}{row.node_id}",
            "name": names.get(row.node_id, ""),
            "detail": {"session_id": row.ceremony_id},
        }
        for row in rows
    ]
