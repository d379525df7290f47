"""Answers the probes at the outermost ASGI layer, before anything that can be slow or broken."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from .answer import Answer, Probe
from .asgi import ASGIApp, Message, Receive, Scope, Send, route_path
from .registry import Registry
from .traffic import Traffic

log = logging.getLogger(__name__)

PATHS = {f"/health/{probe}": probe for probe in Probe}
METHODS = ("GET", "HEAD", "OPTIONS")  # HAProxy sends OPTIONS by default

Trace = Callable[[Scope, Answer], Iterable[tuple[bytes, bytes]]]
"""Starts a traced run of the checks, without waiting for it. Returns headers for the response."""


def _response(answer: Answer, *, plain: bool) -> tuple[Message, Message]:
    """Return the whole response to a probe, as ASGI messages."""
    body = json.dumps({"status": answer.status}).encode()
    if plain:
        body = b"ok" if answer.code == HTTPStatus.OK else str(answer.status).encode()
    headers = [
        (b"content-type", b"text/plain" if plain else b"application/health+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    return (
        {"type": "http.response.start", "status": answer.code, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


RESPONSES = {answer: _response(answer, plain=False) for answer in Answer}
PLAIN_RESPONSES = {answer: _response(answer, plain=True) for answer in Answer}


def answers_of(registry: Registry) -> dict[Probe, Callable[[], Answer]]:
    """Return what answers each probe at once."""
    return {
        Probe.STARTUP: registry.startup,
        Probe.READY: registry.ready,
        Probe.LIVE: registry.live,
    }


class Probes:
    """Serves `GET`, `HEAD` and `OPTIONS` of the probes, below the root path if there is one.

    Other requests go to `app`; an error response makes every check run again. The registry starts
    with the lifespan of `app`. It stops before `app` closes what the checks use. Without a
    lifespan, because the server has none or `app` is mounted in another application, it starts with
    the first request. A probe is logged when its answer changes.

    trace: called for a `ready` request with the header `X-Trace-Health: true`. It gets the scope
        and the answer, and returns headers for the response.
    observe_traffic: false if `app` has the `Traffic` middleware itself.
    paths: the probes by path, for example `{"/healthz": Probe.LIVE}`.
    plain_paths: more of them, answered with `ok`, `warn` or `fail` as plain text.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own
        self,
        app: ASGIApp,
        registry: Registry,
        *,
        trace: Trace | None = None,
        observe_traffic: bool = True,
        paths: Mapping[str, Probe] = PATHS,
        plain_paths: Mapping[str, Probe] | None = None,
    ) -> None:
        self.app = Traffic(app, registry) if observe_traffic else app
        self.registry = registry
        self.trace = trace
        self._has_lifespan = False  # whether the server calls it
        self._has_warned = False
        self._logged: dict[str, Answer] = {}
        answers = answers_of(registry)
        formats = (paths, RESPONSES), (plain_paths or {}, PLAIN_RESPONSES)
        self._probes = {
            path: (probe, answers[probe], responses)
            for by_path, responses in formats
            for path, probe in by_path.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; pass everything else to the application."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        if not self._has_lifespan and not self.registry.is_running():
            await self._start_without_lifespan()
        if scope["type"] == "http":
            path = scope["path"]
            found = self._probes.get(path)
            if found is None and scope.get("root_path"):
                path = route_path(scope)
                found = self._probes.get(path)
            if found is not None and scope["method"] in METHODS:
                probe, get_answer, responses = found
                answer = get_answer()
                if answer is not self._logged.get(path):
                    self._log_change(path, answer)
                start, body = responses[answer]
                if self.trace and probe is Probe.READY and _requests_trace(scope):
                    trace_headers = self.trace(scope, answer)
                    start = {**start, "headers": [*start["headers"], *trace_headers]}
                await send(start)
                await send(body)
                return
        await self.app(scope, receive, send)

    def _log_change(self, path: str, answer: Answer) -> None:
        """Log the new answer of a probe. One line per probe request would hide everything else."""
        is_failing = path in self._logged and answer.code != HTTPStatus.OK
        # A first answer of 503 is normal: the process is starting.
        level = logging.WARNING if is_failing else logging.INFO
        log.log(level, "probe status changed", extra={"path": path, "status": answer.code})
        self._logged[path] = answer

    async def _start_without_lifespan(self) -> None:
        if not self._has_warned:  # some test clients have a new event loop for each request
            self._has_warned = True
            log.warning("no lifespan events: health checks start with the first request")
        await self.registry.start()
        self.registry.started_up = True

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

        self._has_lifespan = True
        await self.registry.start()
        try:
            await self.app(scope, watched_receive, watched_send)
        finally:
            await self.registry.stop()
            self._has_lifespan = False


def _requests_trace(scope: Scope) -> bool:
    return any(
        name == b"x-trace-health" and value.lower() == b"true" for name, value in scope["headers"]
    )
