"""The time scale of these tests: waiting times can be shorter than in a cluster."""

import asyncio
import time
from collections.abc import Callable

SPEEDUP = 5
"""Divisor of all waiting times. What depends on the speed of the machine is not divided: probe
timeouts, the detection of a failed server, and the time for a start.
"""
WAIT_TIMEOUT = 60.0
"""Seconds for what takes a few seconds unless the machine is very busy."""
ENDPOINT_PROPAGATION = 2.0
"""Seconds until every node of a cluster has received a change of the endpoints."""


def scaled(seconds: float, speedup: float = SPEEDUP) -> float:
    """Return the seconds that a waiting time in a cluster takes here."""
    return seconds / speedup


async def wait_until(condition: Callable[[], object], timeout: float = WAIT_TIMEOUT) -> float:  # noqa: ASYNC109 - it bounds every wait
    """Wait until a condition holds, and return the seconds it took. Raises TimeoutError."""
    started = time.monotonic()
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - no event reports a change outside this process
            await asyncio.sleep(0.02)
    return time.monotonic() - started
