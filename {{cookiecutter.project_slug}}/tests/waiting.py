"""Bounded waits for asynchronous tests; `processes.wait_until` is for the others."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[object]], within: float = 30.0) -> float:
    """Wait for a condition, and return the seconds that it took. Fail after `within` seconds."""
    started = time.monotonic()
    while not await condition():
        elapsed = time.monotonic() - started
        assert elapsed < within, f"the condition was still false after {elapsed:.1f} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started
