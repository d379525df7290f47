"""Write one log line per request."""

import asyncio
import logging
import time
from collections import Counter
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from ..health.asgi import Scope
from ..traffic import RequestRecord
from .log_output import log_output
from .logs import span_ids, timestamp

log = logging.getLogger(__name__)

SERVER_ERROR = 500
LEVELS = {logging.INFO: "info", logging.WARNING: "warning"}
WRITE_INTERVAL = 0.02  # seconds; a process that is killed loses the lines of this time
REJECTIONS_INTERVAL = 1.0  # seconds between two lines about rejected requests


class AccessLog:
    """Log each request when its response has ended, however it ended.

    Requests that the service itself rejected are not logged one by one, because rejecting them must
    cost little. One line per second counts them, by reason.

    slow_request_seconds: a longer request is logged as a warning, as is a response of 500 or more.
    json_lines: whether log lines are JSON.
    """

    def __init__(self, *, slow_request_seconds: float, json_lines: bool) -> None:
        self._slow_request_seconds = slow_request_seconds
        self._log = self._add_line if json_lines else _log_record
        self._pending: list[tuple[Any, ...]] = []  # for `_json_line`
        self._rejected: Counter[str] = Counter()

    def __call__(self, record: RequestRecord) -> None:
        """Log one request."""
        if record.rejected:
            if not self._rejected:
                asyncio.get_running_loop().call_later(REJECTIONS_INTERVAL, self._log_rejections)
            self._rejected[record.scope["state"]["rejected"]] += 1
            return
        is_slow = record.duration > self._slow_request_seconds
        level = logging.WARNING if is_slow or record.status >= SERVER_ERROR else logging.INFO
        if log.isEnabledFor(level):
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
        request = (request_id, span_ids(), _client(scope), scope["method"], scope["path"])
        # Not the record: its scope would occupy memory that the next request can use again.
        self._pending.append((time.time(), level, *request, record.status, record.duration))

    def _write_lines(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            log_output.write("".join(map(_json_line, pending)))

    def _log_rejections(self) -> None:
        rejected, self._rejected = self._rejected, Counter()
        if rejected:
            extra = {"count": rejected.total(), "reasons": dict(rejected)}
            log.warning("requests rejected", extra=extra)


def _client(scope: Scope) -> str:
    """Return the address of the client, or of a proxy that is not trusted."""
    return str(scope["client"][0]) if scope.get("client") else ""


def _log_record(level: int, record: RequestRecord) -> None:
    scope = record.scope
    request = {"client": _client(scope), "method": scope["method"], "path": scope["path"]}
    response = {"status": record.status, "duration_ms": round(record.duration * 1000, 1)}
    log.log(level, "request", extra=request | response)


def _json_line(pending: tuple[Any, ...]) -> str:
    """Return the line that `JsonFormatter` would write, at a fraction of the cost.

    A `LogRecord` takes a third of the CPU time of an empty route, and every request is logged.
    """
    at, level, request_id, span, client, method, path, status, duration = pending
    ids = "".join([f' "{name}": "{value}",' for name, value in span.items()]) if span else ""
    return (
        f'{{"time": "{timestamp(at)}", "level": "{LEVELS[level]}",'
        f' "logger": "{__name__}", "message": "request", "request_id": "{request_id}",{ids}'
        f' "client": {quote(client)}, "method": {quote(method)}, "path": {quote(path)},'
        f' "status": {status}, "duration_ms": {duration * 1000:.1f}}}\n'
    )
