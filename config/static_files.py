"""Static files without a thread for every other request."""

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]
from whitenoise.responders import StaticFile  # type: ignore[import-untyped]


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # the library has no types
    """WhiteNoise's middleware is synchronous: under ASGI each long poll would hold a thread all the time.

    This one reads a file in a thread and lets everything else pass.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response)
        self._next = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        static_file = self.files.get(request.path_info)
        if static_file is None:
            return await self._next(request)
        return await sync_to_async(self._read, thread_sensitive=False)(static_file, request)

    def _read(self, static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        response = self.serve(static_file, request)
        try:
            headers = dict(response.items())
            return HttpResponse(response.getvalue(), status=response.status_code, headers=headers)
        finally:
            response.close()
