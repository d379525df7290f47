"""End server-sent events when the service shuts down."""

import asyncio
from collections.abc import Awaitable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OpenStreams:
    """The event streams that are open. The server calls `end` when it has closed its listener."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self.ended = False

    def end(self) -> None:
        """End every stream, and those that start from now on."""
        self.ended = True
        for task in self.tasks:
            task.cancel()


class EventStreams:
    """End responses of the type `text/event-stream` as complete responses, on `streams.end()`.

    Such a response lasts until its client leaves, and a shutdown would wait for it. Browsers
    connect again when it has ended, and reach another replica. The handler is cancelled.

    `scope["state"]["event_stream"]` is true from the start of such a response on.
    """

    def __init__(self, app: ASGIApp, *, streams: OpenStreams) -> None:
        self.app, self.streams = app, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self.app(scope, receive, send)
            return
        streams, is_open = self.streams, False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal is_open
            if message["type"] == "http.response.start" and _is_event_stream(message["headers"]):
                is_open = True
                scope.setdefault("state", {})["event_stream"] = True
                streams.tasks.add(task)
                if streams.ended:
                    task.cancel()
            elif is_open and not message.get("more_body", False):
                is_open = False
                streams.tasks.discard(task)
            return send(message)

        try:
            await self.app(scope, receive, watch)
        except asyncio.CancelledError:
            if not (is_open and streams.ended) or task.uncancel():
                raise  # it is the server that cancels, because the time has ended
            await send({"type": "http.response.body"})
        finally:
            streams.tasks.discard(task)


def _is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False
