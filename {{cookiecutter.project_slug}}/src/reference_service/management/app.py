"""The management port's view of the checks: an ASGI application for a private port."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from ..health import Answer, Probe, Registry
from ..health.asgi import ASGIApp, Receive, Scope, Send, route_path
from .page import PAGE, PAGE_HEADERS, prefers_html
from .report import check_report, full_report, verbose_lines

JSON = b"application/health+json"
HTML = b"text/html; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
PROBLEM = b"application/problem+json"
PROBES = {probe.value: probe for probe in Probe}


class ManagementApp:
    """Serves the details of the checks. It has no authentication: use a private port only.

    - `/health`: every check, as JSON. A browser gets a page that shows the same and updates itself.
    - `/health/PROBE`: the answer to a probe. `?verbose` gives one line per check, and
      `?exclude=NAME` answers as if that check did not exist.
    - `/health/ready/NAME`: one check, as JSON.

    No response has hosts, credentials or messages of drivers: an error is named by its type.

    about: members that describe the service, added to `/health`. For example,
        `{"serviceId": "orders", "version": "1.2.0"}`.
    mounts: further applications by path, such as `/metrics`.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        about: Mapping[str, str] | None = None,
        mounts: Mapping[str, ASGIApp] | None = None,
    ) -> None:
        self.registry = registry
        self.about = dict(about or {})
        self.mounts = dict(mounts or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request from memory. Other scope types, such as lifespan, are ignored."""
        if scope["type"] != "http":
            return
        if mounted := self.mounts.get(route_path(scope)):
            await mounted(scope, receive, send)
            return
        code, media_type, body = self._respond(scope)
        headers = [
            (b"content-type", media_type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept"),
            *(PAGE_HEADERS if media_type is HTML else ()),
            *([(b"allow", b"GET, HEAD")] if code == HTTPStatus.METHOD_NOT_ALLOWED else ()),
        ]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _respond(self, scope: Scope) -> tuple[int, bytes, bytes]:
        """Return the status code, the media type and the body."""
        if scope["method"] not in ("GET", "HEAD"):
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD")
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        match route_path(scope).strip("/").split("/"):
            case ["health"] if prefers_html(scope):
                return HTTPStatus.OK, HTML, PAGE  # it fetches the JSON itself
            case ["health"]:
                code = self.registry.answer(Probe.READY).code
                return code, JSON, _json({**self.about, **full_report(self.registry)})
            case ["health", name] if name in PROBES:
                return self._probe(PROBES[name], query)
            case ["health", "startup" | "ready", check] if check in self.registry.monitors:
                return self._check(check)
        return _problem(HTTPStatus.NOT_FOUND, "try /health, /health/ready, /health/ready?verbose")

    def _probe(self, probe: Probe, query: dict[str, list[str]]) -> tuple[int, bytes, bytes]:
        exclude = query.get("exclude", [])
        answer = self.registry.answer(probe, exclude)
        if "verbose" in query:
            lines = verbose_lines(self.registry, probe, exclude)
            return answer.code, TEXT, "".join(f"{line}\n" for line in lines).encode()
        unknown = sorted(set(exclude) - set(self.registry.monitors))
        body = {"status": answer.status, **({"unknown": unknown} if unknown else {})}
        return answer.code, JSON, _json(body)

    def _check(self, name: str) -> tuple[int, bytes, bytes]:
        monitor = self.registry.monitors[name]
        now = self.registry.clock()
        answer = Answer.from_monitors([monitor], now)
        return answer.code, JSON, _json(check_report(monitor, now))


def _json(body: object) -> bytes:
    return json.dumps(body, default=str).encode()


def _problem(status: HTTPStatus, detail: str) -> tuple[int, bytes, bytes]:
    return status, PROBLEM, _json({"title": status.phrase, "status": status, "detail": detail})
