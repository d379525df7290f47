"""One JSON object a line on stdout; in development, a line that a person reads."""

import functools
import json
import logging
import sys
import time
from contextvars import ContextVar

from opentelemetry import trace

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the running task serves."""

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def configure_logging(*, json_lines: bool, level: str) -> None:
    """Send every logger's records to stdout, once each."""
    _leave_out_what_is_not_shown()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if json_lines else ConsoleFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.error").addFilter(_drop_duplicates)


class JsonFormatter(logging.Formatter):
    """Writes time (RFC 3339, UTC), level, logger, message, ids of request and trace, extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update(_facts(record))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry)


class ConsoleFormatter(logging.Formatter):
    """Writes the same in one line for people; control characters show as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        extras = "".join(f" {key}={value}" for key, value in _facts(record).items())
        text = f"{clock} {record.levelname:<7} {record.getMessage()}{extras}"
        line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def timestamp(seconds: float) -> str:
    """Format seconds of the epoch by RFC 3339, in UTC, to the millisecond."""
    return f"{_date(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@functools.lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    """Format the whole seconds, once each: every request writes a line."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _leave_out_what_is_not_shown() -> None:
    """Spare each record its caller, thread and process: Python's Logging HOWTO, Optimization."""
    logging._srcfile = None  # noqa: SLF001 - as the HOWTO has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _facts(record: logging.LogRecord) -> dict[str, object]:
    """Return the ids of the request and the span, where there are any, and the record's extras."""
    facts: dict[str, object] = {}
    if request_id := REQUEST_ID.get():
        facts["request_id"] = request_id
    facts.update(span_ids())
    facts.update((key, value) for key, value in vars(record).items() if key not in _OWN)
    return facts


def span_ids() -> dict[str, str]:
    """Return the current trace's and span's ids, in the hexadecimal digits of W3C Trace Context."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _drop_duplicates(record: logging.LogRecord) -> bool:
    """Drop what the recovery has already logged with its reason."""
    return not str(record.msg).startswith("ASGI callable returned without completing response")
