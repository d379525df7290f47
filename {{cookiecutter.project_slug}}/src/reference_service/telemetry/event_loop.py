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

HEARTBEAT_INTERVAL = 0.1  # seconds between two measurements of the loop's lag
STALL_THRESHOLD = 1.0  # seconds without a heartbeat after which the loop counts as blocked


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
    loop_thread, ended = threading.get_ident(), threading.Event()
    last_heartbeat = time.monotonic()

    def watch() -> None:
        reported = 0.0
        while not ended.wait(HEARTBEAT_INTERVAL):
            last = last_heartbeat
            if time.monotonic() - last > STALL_THRESHOLD and last != reported:
                reported = last  # once per stall
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 - documented
                stack = "".join(traceback.format_stack(frame))
                print(f"The event loop is blocked:\n{stack}", file=sys.stderr, flush=True)  # noqa: T201

    async def send_heartbeats() -> None:
        nonlocal last_heartbeat
        while True:
            started = last_heartbeat = time.monotonic()
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            lag = time.monotonic() - started - HEARTBEAT_INTERVAL
            on_lag(max(lag, 0.0))
            if lag > STALL_THRESHOLD - HEARTBEAT_INTERVAL:
                on_stall()
                log.warning("the event loop was blocked", extra={"seconds": round(lag, 3)})

    heartbeat = asyncio.create_task(send_heartbeats(), name="event loop heartbeat")
    threading.Thread(target=watch, name="event loop watchdog", daemon=True).start()
    try:
        yield
    finally:
        heartbeat.cancel()
        ended.set()
