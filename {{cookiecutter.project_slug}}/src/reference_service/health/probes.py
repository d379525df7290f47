"""Answers the probes at the outermost ASGI layer, before anything that could be slow or broken."""

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from .answer import Answer, Probe
from .asgi import ASGIApp, Message, Receive, Scope, Send
from .registry import Registry
from .traffic import Traffic

log = logging.getLogger(__name__)

READY = f"/health/{Probe.READY}"

Trace = Callable[[Scope, Answer], Iterable[tuple[bytes, bytes]]]
"""Traces a run of the checks that a readiness request has asked for; it must not wait for it."""


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

    A probe's answer is logged when it changes. trace: called for a readiness request that says
    `X-Trace-Health: true`, with its scope and what it is answered; returns headers for the answer.
    """

    def __init__(self, app: ASGIApp, registry: Registry, *, trace: Trace | None = None) -> None:
        self.app = Traffic(app, registry)
        self.registry = registry
        self.trace = trace
        self._said: dict[str, Answer] = {}
        self._probes = {
            f"/health/{Probe.STARTUP}": registry.startup,
            READY: registry.ready,
            f"/health/{Probe.LIVE}": registry.live,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; hand everything else on."""
        if scope["type"] == "http":
            path = scope["path"]
            probe = self._probes.get(path)
            if probe is not None and scope["method"] in ("GET", "HEAD"):
                answer = probe()
                if answer is not self._said.get(path):
                    self._say(path, answer)
                start, body = RESPONSES[answer]
                if self.trace and path == READY and _asks_for_trace(scope):
                    more = self.trace(scope, answer)
                    start = {**start, "headers": [*start["headers"], *more]}
                await send(start)
                await send(body)
                return
        elif scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _say(self, path: str, answer: Answer) -> None:
        """Log what a probe answers from now on: a line for each would drown the rest."""
        turned_red = path in self._said and answer.code != HTTPStatus.OK
        level = logging.WARNING if turned_red else logging.INFO
        log.log(level, "probe status changed", extra={"path": path, "status": answer.code})
        self._said[path] = answer

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
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


def _asks_for_trace(scope: Scope) -> bool:
    return any(
        name == b"x-trace-health" and value.lower() == b"true" for name, value in scope["headers"]
    )
