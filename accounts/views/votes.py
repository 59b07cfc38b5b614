"""Votes on requests, called by a request's page (vote.js says what markup it needs)."""

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sessions
from accounts.services import votes
from accounts.views.http import body, call, optional, require_login
from wire.approval import DECISIONS


@call
@require_POST
def options(request: HttpRequest, request_id: str) -> HttpResponse:
    user = require_login(request)
    fields = body(request)
    answer = votes.options(
        user=user,
        request_id=request_id,
        decision=fields.text("decision", choices=DECISIONS),
        reason=optional(fields, "reason"),
        node_id=optional(fields, "node_id"),
        credential_id=optional(fields, "credential_id"),
        opened_by=sessions.passkey_of(request),
    )
    fields.end()
    return JsonResponse(answer)


@call
@require_POST
def vote(request: HttpRequest, request_id: str) -> HttpResponse:
    user = require_login(request)
    fields = body(request)
    decision, reason = fields.text("decision", choices=DECISIONS), optional(fields, "reason")
    time_ms, node_id = fields.integer("time"), fields.text("node_id", max_length=64)
    answer = fields.take("credential")
    fields.end()
    done = votes.vote(
        user=user,
        request_id=request_id,
        decision=decision,
        reason=reason,
        time_ms=time_ms,
        node_id=node_id,
        answer=answer,
    )
    url = f"/account/requests/{request_id}/receipt?node_id={done.pop('node_id')}"
    return JsonResponse({**done, "receipt_url": url})


@call
@require_http_methods(["GET"])
def receipt(request: HttpRequest, request_id: str) -> HttpResponse:
    user = require_login(request)
    document = votes.receipt(user=user, request_id=request_id, node_id=request.GET.get("node_id", ""))
    headers = {"Content-Disposition": f'attachment; filename="receipt-{document["request_id"]}.json"'}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return HttpResponse(text, content_type="application/json", headers=headers)
