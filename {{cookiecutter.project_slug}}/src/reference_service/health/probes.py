"""Answers the probes at the outermost ASGI layer, before anything that can be slow or broken."""

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
"""Starts a traced run of the checks, without waiting for it. Returns headers for the response."""


def _response(answer: Answer) -> tuple[Message, Message]:
    """Return the whole response to a probe, as ASGI messages."""
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


RESPONSES = {answer: _response(answer) for answer in Answer}


class Probes:
    """Serves `GET` and `HEAD` of `/health/startup`, `/health/ready` and `/health/live`.

    Other requests go to `app`; an error response makes every check run again. The registry starts
    with the lifespan of `app`. It stops before `app` closes what the checks use. A probe is logged
    when its answer changes.

    trace: called for a `ready` request with the header `X-Trace-Health: true`. It gets the scope
        and the answer, and returns headers for the response.
    observe_traffic: false if `app` has the `Traffic` middleware itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        registry: Registry,
        *,
        trace: Trace | None = None,
        observe_traffic: bool = True,
    ) -> None:
        self.app = Traffic(app, registry) if observe_traffic else app
        self.registry = registry
        self.trace = trace
        self._logged: dict[str, Answer] = {}
        self._probes = {
            f"/health/{Probe.STARTUP}": registry.startup,
            READY: registry.ready,
            f"/health/{Probe.LIVE}": registry.live,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; pass everything else to the application."""
        if scope["type"] == "http":
            path = scope["path"]
            probe = self._probes.get(path)
            if probe is not None and scope["method"] in ("GET", "HEAD"):
                answer = probe()
                if answer is not self._logged.get(path):
                    self._log_change(path, answer)
                start, body = RESPONSES[answer]
                if self.trace and path == READY and _requests_trace(scope):
                    trace_headers = self.trace(scope, answer)
                    start = {**start, "headers": [*start["headers"], *trace_headers]}
                await send(start)
                await send(body)
                return
        elif scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _log_change(self, path: str, answer: Answer) -> None:
        """Log the new answer of a probe. One line per probe request would hide everything else."""
        is_failing = path in self._logged and answer.code != HTTPStatus.OK
        # A first answer of 503 is normal: the process is starting.
        level = logging.WARNING if is_failing else logging.INFO
        log.log(level, "probe status changed", extra={"path": path, "status": answer.code})
        self._logged[path] = answer

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


def _requests_trace(scope: Scope) -> bool:
    return any(
        name == b"x-trace-health" and value.lower() == b"true" for name, value in scope["headers"]
    )
