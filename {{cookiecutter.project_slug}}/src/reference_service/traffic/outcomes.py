"""The check of real traffic: whether the requests of the last seconds succeeded."""

import time
from collections import deque
from collections.abc import Callable

from ..health import Check, CheckFailed, CheckResult, Status
from .record import RequestRecord

WINDOW = 10  # seconds of traffic that the check looks at
MIN_REQUESTS = 20  # fewer in the window say nothing
MAX_FAILED_SHARE = 0.5


class RequestsFailing(CheckFailed):
    """Too many of the latest requests failed with an error of the service itself."""


class RequestOutcomes:
    """Counts the requests of the last `WINDOW` seconds. It is a `RequestObserver` of `Traffic`.

    A failure is a status of 500 or more, or a WebSocket that an error closed. Requests that the
    service rejected count too, because of a limit or because a check fails: this check reports what
    clients get.

    clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[tuple[int, list[int]]] = deque(maxlen=WINDOW)  # succeeded, failed

    def __call__(self, record: RequestRecord) -> None:
        """Count one request."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, [0, 0]))
        self._seconds[-1][1][record.failed] += 1

    def check(self) -> Check:
        """Return the check that fewer than half of the latest requests failed.

        It warns. It sees what happened to requests, and not why: a bug in one route, for example.
        """

        async def check() -> CheckResult:
            oldest = self._clock() - WINDOW
            counts = [count for at, count in self._seconds if at >= oldest]
            failed = sum(count[True] for count in counts)
            requests = failed + sum(count[False] for count in counts)
            data = {"requests": requests, "failed": failed}
            if requests >= MIN_REQUESTS and failed >= MAX_FAILED_SHARE * requests:
                raise RequestsFailing("requests fail", **data)
            return CheckResult(data=data)

        reason = "it shows that requests fail, and not why"
        return Check(
            "requests",
            check,
            Status.WARN,
            impact_reason=reason,
            interval=1.0,
            failure_threshold=1,
        )
