"""Write one log line per request."""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from ..health.asgi import Scope
from ..traffic import RequestRecord
from .log_output import log_output
from .logs import span_ids, timestamp
from .route import route_of

log = logging.getLogger(__name__)

LEVELS = {logging.INFO: "info", logging.WARNING: "warning"}
WRITE_INTERVAL = 0.02  # seconds; a process that is killed loses the lines of this time
REJECTIONS_INTERVAL = 1.0  # seconds between two lines about rejected requests


class AccessLog:
    """Log each request when its response has ended, and each WebSocket when it has closed.

    Requests that the service itself rejected are not logged one by one, because rejecting them must
    cost little. One line per second counts them, by reason.

    slow_request_seconds: a longer request is logged as a warning, as is a response of 500 or more.
        Event streams and WebSockets are never slow.
    json_lines: whether log lines are JSON. version: of the service, in each line. Beside it is the
        name of the host, which in Kubernetes is that of the pod.
    user_agent: whether lines have the client's `User-Agent`.
    """

    def __init__(
        self,
        *,
        slow_request_seconds: float,
        json_lines: bool,
        version: str = "",
        user_agent: bool = False,
    ) -> None:
        self._slow_request_seconds = slow_request_seconds
        self._log = self._add_line if json_lines else self._log_record
        self._always = {"version": version, "host": socket.gethostname()}
        self._always_text = _members(self._always)
        self._user_agent = user_agent
        self._pending: list[tuple[Any, ...]] = []  # for `_json_line`
        self._rejected: Counter[str] = Counter()

    def __call__(self, record: RequestRecord) -> None:
        """Log one request."""
        if record.rejected and not record.close_code:
            if not self._rejected:
                asyncio.get_running_loop().call_later(REJECTIONS_INTERVAL, self._log_rejections)
            self._rejected[record.scope["state"]["rejected"]] += 1
            return
        is_slow = record.latency > self._slow_request_seconds
        level = logging.WARNING if is_slow or record.failed else logging.INFO
        if not log.isEnabledFor(level):
            return
        if record.close_code:
            self._log_record(level, record)
        else:
            self._log(level, record)

    def flush(self) -> None:
        """Write what has not been written yet."""
        self._write_lines()
        self._log_rejections()

    def _add_line(self, level: int, record: RequestRecord) -> None:
        """Note what the line needs. Lines are formatted together, which is faster."""
        if not self._pending:
            asyncio.get_running_loop().call_later(WRITE_INTERVAL, self._write_lines)
        scope = record.scope
        request_id = scope.get("state", {}).get("request_id", "")
        request = (request_id, span_ids(), _client(scope), scope.get("method", "GET"))
        route = (scope["path"], route_of(scope), record.status, record.body_bytes)
        # Not the record: its scope would occupy memory that the next request can use again.
        more = self._more(scope)
        rest = self._always_text if more is self._always else _members(more)
        self._pending.append((time.time(), level, *request, *route, record.duration, rest))

    def _write_lines(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            log_output.write("".join(map(_json_line, pending)))

    def _log_record(self, level: int, record: RequestRecord) -> None:
        scope = record.scope
        message = "websocket closed" if record.close_code else "request"
        fields = {
            "client": _client(scope),
            "method": scope.get("method", "GET"),
            "path": scope["path"],
            "route": route_of(scope),
            "status": record.status,
            "bytes": record.body_bytes,
            "duration_ms": round(record.duration * 1000, 1),
        }
        if record.close_code:
            fields = {**fields, "close_code": record.close_code}
        log.log(level, message, extra=fields | self._more(scope))

    def _more(self, scope: Scope) -> dict[str, str]:
        """Return the version of the service, and what only some lines have."""
        source = scope.get("state", {}).get("request_id_source")
        more = {"request_id_source": source} if source else {}
        if self._user_agent:
            agents = [value for name, value in scope["headers"] if name == b"user-agent"]
            more["user_agent"] = b", ".join(agents).decode("latin-1")
        return self._always | more if more else self._always

    def _log_rejections(self) -> None:
        rejected, self._rejected = self._rejected, Counter()
        if rejected:
            extra = {"count": rejected.total(), "reasons": dict(rejected)}
            log.warning("requests rejected", extra=extra)


def _client(scope: Scope) -> str:
    """Return the address of the client, or of a proxy that is not trusted."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _members(values: Mapping[str, str]) -> str:
    """Return members to add to a JSON object."""
    return "".join([f', "{name}": {quote(value)}' for name, value in values.items()])


def _json_line(pending: tuple[Any, ...]) -> str:
    """Return the line that `JsonFormatter` would write, at a fraction of the cost.

    A `LogRecord` takes a third of the CPU time of an empty route, and every request is logged.
    """
    at, level, request_id, span, client, method, path, route, status, size, took, rest = pending
    ids = "".join([f' "{name}": "{value}",' for name, value in span.items()]) if span else ""
    return (
        f'{{"time": "{timestamp(at)}", "level": "{LEVELS[level]}",'
        f' "logger": "{__name__}", "message": "request", "request_id": "{request_id}",{ids}'
        f' "client": {quote(client)}, "method": {quote(method)}, "path": {quote(path)},'
        f' "route": {quote(route)}, "status": {status}, "bytes": {size},'
        f' "duration_ms": {took * 1000:.1f}{rest}}}\n'
    )
