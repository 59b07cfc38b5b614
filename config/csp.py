"""Content-Security-Policy on every page: nothing inline, nothing from elsewhere, no frames (CONTRACT.md)."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

HEADER = "Content-Security-Policy"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Give every answer the policy, unless its view has set one itself."""
    if iscoroutinefunction(get_response):

        async def protect_async(request: HttpRequest) -> HttpResponseBase:
            answer: Awaitable[HttpResponseBase] = get_response(request)
            return _protect(await answer)

        return protect_async

    def protect(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        return _protect(response)

    return protect


def _protect(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault(HEADER, POLICY)
    return response
