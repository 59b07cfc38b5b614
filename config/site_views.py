"""What the site says about itself."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.response_signing import public_key


@require_safe
def response_key(request: HttpRequest) -> JsonResponse:
    """The key that signs this site's answers; a claim, to be compared with what the operator told you."""
    return JsonResponse({"algorithm": "Ed25519", "public_key": public_key()})


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """200 while the process answers; says nothing about database or workers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document for people: script and style sheet are our own, nothing comes from elsewhere."""
    response = render(request, "api_docs/page.html")
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
