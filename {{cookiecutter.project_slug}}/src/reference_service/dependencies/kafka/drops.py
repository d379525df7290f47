"""The count of messages that were dropped, with a log line now and then."""

import logging
import time

log = logging.getLogger(__name__)

LOG_INTERVAL = 10.0
"""Minimum seconds between two log lines."""


class DropCounter:
    """Counts dropped messages, and logs how many were dropped since the previous line."""

    def __init__(self) -> None:
        self.total = 0
        self._logged = 0
        self._next_log = 0.0

    def add(self, count: int) -> None:
        """Count dropped messages, and log them unless the previous line is too recent."""
        self.total += count
        if time.monotonic() >= self._next_log:
            self.log()

    def log(self) -> None:
        """Log the messages that were dropped since the previous line, if there are any."""
        if self.total > self._logged:
            log.warning("messages dropped", extra={"dropped": self.total - self._logged})
            self._next_log = time.monotonic() + LOG_INTERVAL
            self._logged = self.total
