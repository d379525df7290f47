"""Write log lines in a thread, so that a request never waits for a log line and never fails."""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

MAX_PENDING = 4_000_000  # characters that may wait, some 15,000 lines
FLUSH_TIMEOUT = 1.0  # seconds in which the last lines are written before the process exits


class LogOutput(logging.Handler):
    """Writes to stdout. While stdout takes nothing, lines wait; beyond a limit they are dropped.

    Stdout takes nothing if it is a pipe that nobody reads, or a file on a full disk.

    dropped: number of lines that were dropped. A log line reports it when stdout works again.
    redact: changes the lines before they are written, in the thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self.redact: Callable[[str], str] = lambda lines: lines
        self._pending: deque[str] = deque()
        self._pending_size = 0  # includes what is being written
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of a record. A mistake in a log call must not fail a request."""
        try:
            line = self.format(record)
        except Exception:
            template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
            message = "log message cannot be formatted: %r"
            line = self.format(
                logging.LogRecord(record.name, logging.ERROR, "", 0, message, (template,), None)
            )
        self.write(f"{line}\n")

    def write(self, lines: str) -> None:
        """Queue lines, each with its line break."""
        with self._changed:
            if self._pending_size + len(lines) > MAX_PENDING:
                self.dropped += lines.count("\n")
                return
            self._pending.append(lines)
            self._pending_size += len(lines)
            self._changed.notify_all()
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="log output", daemon=True)
                self._writer.start()

    def flush(self) -> None:
        """Wait until stdout has taken every line, for at most `FLUSH_TIMEOUT`."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending_size == 0, FLUSH_TIMEOUT)

    def _run(self) -> None:
        reported = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending)
                lines = "".join(self._pending)
                self._pending.clear()
            try:
                sys.stdout.write(self.redact(lines))
                sys.stdout.flush()
            except (OSError, ValueError):  # ValueError: stdout is closed
                self.dropped += lines.count("\n")
            else:
                if self.dropped > reported:
                    log.warning("log lines dropped", extra={"lines": self.dropped - reported})
                    reported = self.dropped
            with self._changed:
                self._pending_size -= len(lines)
                self._changed.notify_all()


log_output = LogOutput()
