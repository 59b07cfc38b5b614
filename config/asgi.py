"""The site as an ASGI application: Django inside, body cap, response signing and request ids around it.

The order matters: an answer of the body cap is signed like any other.
"""

import asyncio
import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")
# Sets Django up, so it comes before anything that reads settings.
_django: Any = get_asgi_application()

from django.conf import settings  # noqa: E402

from config.asgi_types import App, Receive, Scope, Send  # noqa: E402
from config.body_cap import BodyCap  # noqa: E402
from config.request_ids import RequestIds  # noqa: E402
from config.response_signing import ResponseSigning  # noqa: E402


class Site:
    """Routes by connection type; starts and stops the embedded worker with the process."""

    def __init__(self, http: App) -> None:
        self._http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            # The vendor's WebSocket stream does not exist here (docs/api.md); refusing is a 403 or 404.
            await receive()
            await send({"type": "websocket.close", "code": 1008})


async def _lifespan(receive: Receive, send: Send) -> None:
    embedded = settings.QUORATE.get("EMBEDDED_WORKER", False)
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                if embedded:
                    # Production has no embedded worker and never loads it.
                    from config import embedded_worker

                    await asyncio.to_thread(embedded_worker.start)
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                raise
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            if embedded:
                from config import embedded_worker

                await asyncio.to_thread(embedded_worker.stop)
            await send({"type": "lifespan.shutdown.complete"})
            return


application = Site(RequestIds(ResponseSigning(BodyCap(_django))))
