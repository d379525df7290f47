"""Answers the probes at the outermost ASGI layer, before anything that can be slow or broken."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus

from .answer import Answer, Probe
from .asgi import ASGIApp, Message, Receive, Scope, Send, route_path
from .registry import Registry

log = logging.getLogger(__name__)

PATHS = {f"/health/{probe}": probe for probe in Probe}
METHODS = ("GET", "HEAD", "OPTIONS")  # HAProxy sends OPTIONS by default
RECHECK_STATUS_CODES = frozenset({500, 503, 504})  # after which every check runs again

Trace = Callable[[Scope, Answer], Collection[tuple[bytes, bytes]]]
"""Starts a traced run of the checks if a request asks for one. Returns headers for the response."""


def _response(answer: Answer, media_type: bytes, body: bytes) -> tuple[Message, Message]:
    """Return the whole response to a probe, as ASGI messages."""
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    return (
        {"type": "http.response.start", "status": answer.code, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


RESPONSES = {
    each: _response(each, b"application/health+json", b'{"status": "%s"}' % each.status.encode())
    for each in Answer
}
PLAIN_RESPONSES = {
    each: _response(each, b"text/plain", b"ok" if each.code == HTTPStatus.OK else b"fail")
    for each in Answer
}


class Probes:
    """Serves `GET`, `HEAD` and `OPTIONS` of the probes, below the root path if there is one.

    Other requests go to `app`. An error response makes every check run again, unless the service
    itself rejected the request: `scope["state"]["rejected"]` says so. (Empty `recheck_status_codes`
    leave this to another layer.)

    The registry starts with the lifespan of `app`, and stops before `app` closes what the checks
    use. Without a lifespan, because the server has none or `app` is mounted in another application,
    it starts with the first request. A probe is logged when its answer changes.

    trace: called for each `ready` request.
    paths: the probes by path, for example `{"/healthz": Probe.LIVE}`.
    plain_paths: more of them, answered with `ok` or `fail` as plain text.
    """

    def __init__(  # noqa: PLR0913
        self,
        app: ASGIApp,
        registry: Registry,
        *,
        trace: Trace | None = None,
        paths: Mapping[str, Probe] = PATHS,
        plain_paths: Mapping[str, Probe] | None = None,
        recheck_status_codes: Collection[int] = RECHECK_STATUS_CODES,
    ) -> None:
        self.app, self.registry, self.trace = app, registry, trace
        self.recheck_status_codes = recheck_status_codes
        self._has_lifespan = False  # whether the server calls it
        self._logged: dict[str, Answer] = {}
        plain = {path: (probe, PLAIN_RESPONSES) for path, probe in (plain_paths or {}).items()}
        self._probes = {path: (probe, RESPONSES) for path, probe in paths.items()} | plain
        self._answers = {
            Probe.STARTUP: registry.startup,
            Probe.READY: registry.ready,
            Probe.LIVE: registry.live,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; pass everything else to the application."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        if not self._has_lifespan and not self.registry.is_running():
            await self._start_without_lifespan()
        if scope["type"] == "http":
            found = self._probes.get(path := scope["path"])
            if found is None and scope.get("root_path"):
                path = route_path(scope)
                found = self._probes.get(path)
            if found is not None and scope["method"] in METHODS:
                probe, responses = found
                answer = self._answers[probe]()
                if answer is not self._logged.get(path):
                    self._log_change(path, answer)
                start, body = responses[answer]
                if self.trace and probe is Probe.READY and (headers := self.trace(scope, answer)):
                    start = {**start, "headers": [*start["headers"], *headers]}
                await send(start)
                await send(body)
                return
            if self.recheck_status_codes:
                send = self._recheck_after_errors(scope, send)
        await self.app(scope, receive, send)

    def _recheck_after_errors(self, scope: Scope, send: Send) -> Send:
        def watch(message: Message) -> Awaitable[None]:
            is_error = message.get("status") in self.recheck_status_codes
            if is_error and not scope.get("state", {}).get("rejected"):
                self.registry.recheck()
            return send(message)

        return watch

    def _log_change(self, path: str, answer: Answer) -> None:
        """Log the new answer of a probe. One line per probe request would hide everything else."""
        is_failing = path in self._logged and answer.code != HTTPStatus.OK  # not the first answer
        level = logging.WARNING if is_failing else logging.INFO
        log.log(level, "probe status changed", extra={"path": path, "status": answer.code})
        self._logged[path] = answer

    async def _start_without_lifespan(self) -> None:
        if not self.registry.started_up:  # some test clients have a new loop for each request
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
