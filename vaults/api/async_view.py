"""Async views under /v2, which DRF does not serve: the same errors, and no thread while they wait."""

from typing import Any, ClassVar

from django.core.handlers.asgi import ASGIRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import MethodNotAllowed

from vaults.api.errors import error_response
from vaults.api.operations import Operation


@method_decorator(csrf_exempt, name="dispatch")  # no cookie counts here, and errors are JSON
class AsyncView(View):
    """A path that answers GET; `scopes`: what its key needs; `public`: it needs no key."""

    scopes: ClassVar[dict[str, str | None]] = {}
    operations: ClassVar[dict[str, Operation]] = {}
    public = False

    async def dispatch(  # type: ignore[override] # Django's own is async as well where `get` is
        self, request: ASGIRequest, *args: Any, **ids: str
    ) -> HttpResponseBase:
        try:
            if request.method != "GET":
                raise MethodNotAllowed(request.method or "")
            return await self.get(request, **ids)
        except Exception as error:  # noqa: BLE001 - as DRF's views do, also for what nobody foresaw
            return error_response(error, request, allowed=["GET"])

    async def get(self, request: ASGIRequest, **ids: str) -> HttpResponseBase:
        raise NotImplementedError
