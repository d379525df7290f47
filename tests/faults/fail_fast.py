"""Check that requests fail fast while the check of what they need fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from .environment import Environment

COUNT = 20
MAX_DURATION = 0.5
"""Seconds. A request that waits for a frozen server takes longer, and a busy machine less."""


def refused_at_once(path: str) -> Callable[[Environment], Awaitable[list[str]]]:
    """Return what verifies that concurrent requests of a path are answered 503 at once."""

    async def verify(env: Environment) -> list[str]:
        async def is_refused() -> bool:
            started = time.monotonic()
            code = await env.service.get(path)
            return code == 503 and time.monotonic() - started < MAX_DURATION

        refused = sum(await asyncio.gather(*(is_refused() for _ in range(COUNT))))
        return [] if refused == COUNT else [f"{refused} of {COUNT} requests were refused at once"]

    return verify
