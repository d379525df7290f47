"""One JSON object a line on stdout; in development, a line that a person reads."""

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the running task serves."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def configure_logging(*, json_lines: bool, level: str) -> None:
    """Send every logger's records to stdout, once each."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if json_lines else ConsoleFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


class JsonFormatter(logging.Formatter):
    """Writes time (RFC 3339, UTC), level, logger, message, the request's id, and the extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            entry["request_id"] = request_id
        entry.update(_extras(record))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """Writes time of day, level, message and extras; control characters show as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        text = f"{clock} {record.levelname:<7} {record.getMessage()}{extras}"
        line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _OWN}


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what the recovery has already logged with its reason."""
    return not str(record.msg).startswith("ASGI callable returned without completing response")
