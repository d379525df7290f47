"""A uvicorn that drains: on SIGTERM `ready` says so, and only later does the listener close."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from types import FrameType

import uvicorn

from ..health import Registry

log = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """uvicorn, which would close its listener at once on SIGTERM, with a drain before that.

    On the first SIGTERM or SIGINT `ready` turns to 503, and `delay` seconds later the server stops
    accepting. Meanwhile the orchestrator learns of it and sends requests elsewhere; those that
    still come are answered. A second signal ends the process at once.
    """

    def __init__(self, config: uvicorn.Config, registry: Registry, *, delay: float) -> None:
        super().__init__(config)
        self._registry = registry
        self._delay = delay

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle both signals until the process ends: uvicorn asks for it when it serves."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self.should_exit = True

        def drain() -> None:
            log.info("draining", extra={"delay": self._delay})
            loop.call_later(self._delay, stop)

        def leave(number: int, _: FrameType | None) -> None:
            if self._registry.draining:
                os._exit(128 + number)
            self._registry.drain()
            loop.call_soon_threadsafe(drain)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)
        yield
