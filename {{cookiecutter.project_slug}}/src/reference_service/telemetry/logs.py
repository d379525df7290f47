"""Log one JSON object per line to stdout; in development, a readable line."""

import asyncio
import functools
import json
import logging
import sys
import threading
import time
from contextvars import ContextVar

from opentelemetry import trace

from ..redaction import redact
from .log_output import log_output

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)  # of this task
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def configure_logging(*, json_lines: bool, level: str) -> None:
    """Send every logger's records to stdout, once each, and errors that nothing has caught."""
    # No caller, thread or process is looked up for each record (Logging HOWTO, Optimization).
    logging._srcfile = None  # noqa: SLF001 - as the HOWTO says
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    log_output.setFormatter(JsonFormatter() if json_lines else ConsoleFormatter())
    log_output.redact = redact
    logging.basicConfig(handlers=[log_output], level=level, force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.error").addFilter(_drop_duplicates)
    # By default Python prints these to stderr.
    sys.excepthook = lambda _, error, __: _log_uncaught(error)
    threading.excepthook = lambda failure: _log_uncaught(failure.exc_value)
    sys.unraisablehook = lambda failure: _log_uncaught(failure.exc_value)


def _log_uncaught(error: BaseException | None) -> None:
    logging.getLogger(__name__).critical("unhandled exception", exc_info=error)


class JsonFormatter(logging.Formatter):
    """Write time (RFC 3339, UTC), level, logger, message, ids of request and trace, and extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry)


class ConsoleFormatter(logging.Formatter):
    """Write the same as readable text. Control characters appear as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        pairs = "".join(f" {key}={value}" for key, value in _extras(record).items())
        text = f"{clock} {record.levelname:<7} {record.getMessage()}{pairs}"
        line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def timestamp(seconds: float) -> str:
    """Format seconds since the epoch as RFC 3339 time, in UTC, to the millisecond."""
    return _timestamp(int(seconds * 1000))


@functools.lru_cache(maxsize=1)
def _timestamp(milliseconds: int) -> str:
    """Format the time. The cache matters because every request writes a line."""
    return f"{_date(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@functools.lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _extras(record: logging.LogRecord) -> dict[str, object]:
    """Return the ids of the request and the span, if any, and the record's extras."""
    request_id = REQUEST_ID.get()
    ids = {"request_id": request_id} if request_id else {}
    own = {key: value for key, value in vars(record).items() if key not in _BUILT_IN}
    return ids | span_ids() | own


def span_ids() -> dict[str, str]:
    """Return the ids of the current trace and span, as hexadecimal digits."""
    current = trace.get_current_span()
    if current is trace.INVALID_SPAN:  # as for every request without tracing
        return {}
    span = current.get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _drop_duplicates(record: logging.LogRecord) -> bool:
    """Drop what `Recovery` has already logged, with its reason."""
    error = record.exc_info[1] if record.exc_info else None
    is_incomplete = str(record.msg).startswith("ASGI callable returned without completing response")
    return not (is_incomplete or isinstance(error, asyncio.CancelledError))
