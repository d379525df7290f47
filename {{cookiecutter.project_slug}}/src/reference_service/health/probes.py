"""Answers the probes at the outermost ASGI layer, before anything that could be slow or broken."""

import json

from .asgi import ASGIApp, Message, Receive, Scope, Send
from .registry import Answer, Probe, Registry
from .traffic import Traffic


def messages(answer: Answer) -> tuple[Message, Message]:
    """Return a probe's whole response, as ASGI messages."""
    body = json.dumps({"status": answer.status}).encode()
    headers = [
        (b"content-type", b"application/health+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    return (
        {"type": "http.response.start", "status": answer.code, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


RESPONSES = {answer: messages(answer) for answer in Answer}


class Probes:
    """Serves `GET` and `HEAD` of `/health/startup`, `/health/ready` and `/health/live`.

    The rest goes on to `app`, whose errors are evidence for the checks. The registry starts with
    the application's lifespan and stops before the application closes what the checks use.
    """

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self.app = Traffic(app, registry)
        self.registry = registry
        self._probes = {
            f"/health/{Probe.STARTUP}": registry.startup,
            f"/health/{Probe.READY}": registry.ready,
            f"/health/{Probe.LIVE}": registry.live,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; hand everything else on."""
        if scope["type"] == "http":
            probe = self._probes.get(scope["path"])
            if probe is not None and scope["method"] in ("GET", "HEAD"):
                start, body = RESPONSES[probe()]
                await send(start)
                await send(body)
                return
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.registry.stop()
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.registry.started_up = True
            await send(message)

        await self.registry.start()
        try:
            await self.app(scope, watched_receive, watched_send)
        finally:
            await self.registry.stop()
