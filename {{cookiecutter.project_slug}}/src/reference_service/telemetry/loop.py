"""Says which code blocks the event loop, while it still does."""

import asyncio
import contextlib
import faulthandler
import logging
import sys
import time
from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

HEARTBEAT = 0.1
STALL = 1.0


@contextlib.asynccontextmanager
async def watch_loop() -> AsyncIterator[None]:
    """Log every stall of the running loop that is longer than `STALL` seconds.

    A heartbeat re-arms faulthandler's watchdog. When the heart stops, the watchdog writes all
    stacks to stderr: it is a C thread that needs no GIL, so it also catches code that holds it.
    When the loop runs again, a log line says how long the stall was.
    """
    beat = asyncio.create_task(_beat(), name="event loop heartbeat")
    try:
        yield
    finally:
        beat.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _beat() -> None:
    while True:
        faulthandler.dump_traceback_later(STALL, file=sys.__stderr__ or sys.stderr)
        slept = time.monotonic()
        await asyncio.sleep(HEARTBEAT)
        late = time.monotonic() - slept - HEARTBEAT
        if late > STALL - HEARTBEAT:
            log.warning("the event loop was blocked", extra={"seconds": round(late, 3)})
