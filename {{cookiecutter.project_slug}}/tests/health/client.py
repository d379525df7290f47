"""Call an ASGI application as a server does, and return what it sent."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Answer:
    """What an application sent; `status` is None before the response starts."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert self.status is None, "the response started twice"
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert not self.complete, "the response continued after its end"
            self.body += message.get("body", b"")
            self.complete = not message.get("more_body", False)

    async def receive(self, message: Message) -> None:
        """Take a message at once, as the `send` of an application."""
        self.take(message)


def http_scope(headers: Iterable[tuple[bytes, bytes]] = ()) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "headers": list(headers),
        "state": {"request_id": "abc"},
    }


async def call(
    app: ASGIApp,
    body: Iterable[bytes] = (b"",),
    headers: Iterable[tuple[bytes, bytes]] = (),
    answer: Answer | None = None,
    path: str = "/",
) -> Answer:
    """Run one request. Pass an `answer` of your own to observe it while it grows."""
    answer = answer or Answer()
    parts = list(body)

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        answer.take(message)

    await app({**http_scope(headers), "path": path}, receive, send)
    return answer
