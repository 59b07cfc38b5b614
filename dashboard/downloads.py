"""Files to check elsewhere: what a request is made of, and what the audit log says of it."""

import json
from typing import Any

from django.http import HttpRequest, JsonResponse

from dashboard import selectors
from dashboard.viewers import Viewer
from dashboard.views import found_request
from tss import dossier


def intent(request: HttpRequest, viewer: Viewer, request_id: str) -> JsonResponse:
    """What the stand-alone verifier reads, as GET /v2/requests/{id}/intent answers it."""
    row = found_request(viewer, request_id)
    return _file(dossier.intent(row), f"{row.id}.request.json")


def audit(request: HttpRequest, viewer: Viewer, request_id: str) -> JsonResponse:
    """The rows of the audit log that are about the request, each with its place in the hash chain."""
    row = found_request(viewer, request_id)
    rows = [
        {
            "sequence": each.sequence,
            "time": each.time,
            "organisation_id": each.organisation_id,
            "actor": each.actor,
            "act": each.act,
            "subject": each.subject,
            "detail": json.loads(each.detail),
            "previous_hash": each.previous_hash,
            "hash": each.hash,
        }
        for each in selectors.audit_rows(row)
    ]
    return _file({"tss_request_id": row.id, "rows": rows}, f"{row.id}.audit.json")


def _file(content: dict[str, Any], name: str) -> JsonResponse:
    response = JsonResponse(content, json_dumps_params={"indent": 1, "ensure_ascii": True})
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
