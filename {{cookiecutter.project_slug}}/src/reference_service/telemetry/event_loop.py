"""Report code that blocks the event loop, while it still does."""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 0.1
"""Seconds between two measurements of the loop's lag."""
STALL_THRESHOLD = 1.0
"""Seconds without a heartbeat after which the loop counts as blocked."""


@contextlib.asynccontextmanager
async def watch_loop(
    *,
    on_stall: Callable[[], None] = lambda: None,
    on_lag: Callable[[float], None] = lambda _: None,
) -> AsyncIterator[None]:
    """Log every time that the running loop is blocked for longer than `STALL_THRESHOLD` seconds.

    When the heartbeat stops, a thread writes the stack of the blocked code to stderr. When the loop
    runs again, a log line gives the length of the stall. The thread has to wait for code that holds
    the GIL. faulthandler's watchdog does not, but it reads the stacks of threads that may be
    running, and so crashes the process now and then if a stall ends at that moment.

    on_stall: called after each stall. on_lag: called ten times per second with the loop's lag in
    seconds.
    """
    watchdog = _Watchdog()
    heartbeat = asyncio.create_task(
        _send_heartbeats(watchdog, on_stall, on_lag), name="event loop heartbeat"
    )
    watchdog.start()
    try:
        yield
    finally:
        heartbeat.cancel()
        watchdog.ended.set()


class _Watchdog(threading.Thread):
    """Watches the thread that creates it. last_heartbeat: monotonic seconds."""

    def __init__(self) -> None:
        super().__init__(name="event loop watchdog", daemon=True)
        self.last_heartbeat = time.monotonic()
        self.ended = threading.Event()
        self._thread_id = threading.get_ident()

    def run(self) -> None:
        """Write the stack once per stall."""
        reported = 0.0
        while not self.ended.wait(HEARTBEAT_INTERVAL):
            last = self.last_heartbeat
            if time.monotonic() - last > STALL_THRESHOLD and last != reported:
                reported = last
                frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - documented
                stack = "".join(traceback.format_stack(frame))
                print(f"The event loop is blocked:\n{stack}", file=sys.stderr, flush=True)  # noqa: T201


async def _send_heartbeats(
    watchdog: _Watchdog, on_stall: Callable[[], None], on_lag: Callable[[float], None]
) -> None:
    while True:
        started = watchdog.last_heartbeat = time.monotonic()
        await asyncio.sleep(HEARTBEAT_INTERVAL)
        lag = time.monotonic() - started - HEARTBEAT_INTERVAL
        on_lag(max(lag, 0.0))
        if lag > STALL_THRESHOLD - HEARTBEAT_INTERVAL:
            on_stall()
            log.warning("the event loop was blocked", extra={"seconds": round(lag, 3)})
