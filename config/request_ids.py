"""Every HTTP call gets an id that stands in its answer and in each log line written for it."""

import uuid

from audit import log_context
from config.asgi_types import App, Message, Receive, Scope, Send


class RequestIds:
    """Outermost of the layers. The id is made here: one from the caller could forge lines of another call."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid.uuid4().hex

        async def name(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        with log_context.about(request_id=request_id):
            await self._app(scope, receive, name)
