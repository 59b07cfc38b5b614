"""What the site says about itself."""

import hmac
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import metrics as site_metrics
from config.readiness import readiness
from config.response_signing import public_key


@require_safe
def response_key(request: HttpRequest) -> JsonResponse:
    """The key that signs this site's answers; a claim, to be compared with what the operator told you."""
    return JsonResponse({"algorithm": "Ed25519", "public_key": public_key()})


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    """200 while the process answers; says nothing about database or workers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the site can do its work, else 503; which check failed, and not why."""
    found = readiness()
    body = {"ready": found.ready, "checks": found.checks, "oldest_due_job_s": found.oldest_due_job_s}
    return JsonResponse(body, status=200 if found.ready else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, for this machine or for who has the token."""
    if not _may_read_metrics(request):
        return HttpResponse("metrics are for this machine, or for the bearer of METRICS_TOKEN\n", status=403)
    return HttpResponse(site_metrics.exposition(), content_type=site_metrics.CONTENT_TYPE)


def _may_read_metrics(request: HttpRequest) -> bool:
    token = settings.QUORATE["METRICS_TOKEN"]
    if token:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    # What a proxy on this machine hands on comes from elsewhere.
    if any(name.lower().startswith(("x-forwarded-", "forwarded", "via")) for name in request.headers):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document for people: script and style sheet are our own, nothing comes from elsewhere."""
    response = render(request, "api_docs/page.html")
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
