"""Says which code blocks the event loop, while it still does."""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable

log = logging.getLogger(__name__)

HEARTBEAT = 0.1
STALL = 1.0


@contextlib.asynccontextmanager
async def watch_loop(
    *, tally: Counter[str] | None = None, on_beat: Callable[[float], None] = lambda _: None
) -> AsyncIterator[None]:
    """Log every stall of the running loop that is longer than `STALL` seconds.

    When the loop's heart stops, a thread writes the loop's stack to stderr. It has to wait for code
    that holds the GIL. faulthandler's watchdog need not, but reads the stacks of threads that may
    run on meanwhile, and so crashes the process now and then when a stall ends just then. When the
    loop runs again, a log line says how long the stall was.

    tally: counts the `event_loop_stalls`. on_beat: called ten times a second with the loop's lag,
    in seconds.
    """
    watchdog = _Watchdog()
    beat = asyncio.create_task(
        _beat(watchdog, Counter() if tally is None else tally, on_beat), name="event loop heartbeat"
    )
    watchdog.start()
    try:
        yield
    finally:
        beat.cancel()
        watchdog.ended.set()


class _Watchdog(threading.Thread):
    """Watches the thread that it is made in. fed_at: monotonic seconds, renewed by the heart."""

    def __init__(self) -> None:
        super().__init__(name="event loop watchdog", daemon=True)
        self.fed_at = time.monotonic()
        self.ended = threading.Event()
        self._watched = threading.get_ident()

    def run(self) -> None:
        """Write the stack once for each time that the heart stops."""
        told = 0.0
        while not self.ended.wait(HEARTBEAT):
            fed_at = self.fed_at
            if time.monotonic() - fed_at > STALL and fed_at != told:
                told = fed_at
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - documented
                stack = "".join(traceback.format_stack(frame))
                print(f"The event loop is blocked:\n{stack}", file=sys.stderr, flush=True)  # noqa: T201


async def _beat(watchdog: _Watchdog, tally: Counter[str], on_beat: Callable[[float], None]) -> None:
    while True:
        slept = watchdog.fed_at = time.monotonic()
        await asyncio.sleep(HEARTBEAT)
        late = time.monotonic() - slept - HEARTBEAT
        on_beat(max(late, 0.0))
        if late > STALL - HEARTBEAT:
            tally["event_loop_stalls"] += 1
            log.warning("the event loop was blocked", extra={"seconds": round(late, 3)})
