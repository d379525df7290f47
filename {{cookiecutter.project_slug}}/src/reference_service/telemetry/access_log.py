"""Write one log line per request."""

import asyncio
import logging
import sys
import time
from json.encoder import encode_basestring_ascii as quote

from ..health import RequestRecord
from .logs import span_ids, timestamp

log = logging.getLogger(__name__)

SERVER_ERROR = 500
LEVELS = {logging.INFO: "info", logging.WARNING: "warning"}


class AccessLog:
    """Log each request when its response has ended, however it ended.

    slow_request_seconds: a longer request is logged as a warning, as is a response of 500 or more.
    json_lines: whether log lines are JSON.
    """

    def __init__(self, *, slow_request_seconds: float, json_lines: bool) -> None:
        self._slow_request_seconds = slow_request_seconds
        self._write = write_json if json_lines else write_record

    def __call__(self, record: RequestRecord) -> None:
        """Log one request."""
        is_warning = record.status >= SERVER_ERROR or record.duration > self._slow_request_seconds
        level = logging.WARNING if is_warning else logging.INFO
        if log.isEnabledFor(level):
            self._write(level, record)


def write_record(level: int, record: RequestRecord) -> None:
    """Log a request through the logging module, as everything else is logged."""
    request = {"method": record.scope["method"], "path": record.scope["path"]}
    response = {"status": record.status, "duration_ms": round(record.duration * 1000, 1)}
    log.log(level, "request", extra=request | response)


def write_json(level: int, record: RequestRecord) -> None:
    """Write the line that `JsonFormatter` would write, at a quarter of the cost.

    A `LogRecord` takes a third of the CPU time of an empty route, and every request writes a line.
    Lines of one turn of the event loop are flushed together.
    """
    scope = record.scope
    ids = "".join(f' "{name}": "{value}",' for name, value in span_ids().items())
    request_id = scope.get("state", {}).get("request_id", "")
    sys.stdout.write(
        f'{{"time": "{timestamp(time.time())}", "level": "{LEVELS[level]}", "logger": "{__name__}",'
        f' "message": "request", "request_id": "{request_id}",{ids}'
        f' "method": {quote(scope["method"])},'
        f' "path": {quote(scope["path"])}, "status": {record.status},'
        f' "duration_ms": {record.duration * 1000:.1f}}}\n'
    )
    asyncio.get_running_loop().call_soon(sys.stdout.flush)
