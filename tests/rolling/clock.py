"""The time of these tests, in which all that only waits goes faster than in a cluster."""

import asyncio
import time
from collections.abc import Callable

FASTER = 5
"""How much faster. What a machine has to work for is not: how long the answer to a probe may take,
how fast the service notices that a server is away, how long a start may take.
"""
PATIENCE = 60.0
"""Seconds for what takes a few, on a busy machine."""


def scaled(seconds: float) -> float:
    """Return what a time in a cluster is here, in seconds."""
    return seconds / FASTER


PROPAGATION = scaled(2)
"""Seconds until a change of the endpoints has reached every node."""


async def until(condition: Callable[[], object], within: float = PATIENCE) -> float:
    """Wait for a condition, and return the seconds it took. Raises TimeoutError."""
    started = time.monotonic()
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what it waits for is the world
            await asyncio.sleep(0.02)
    return time.monotonic() - started
