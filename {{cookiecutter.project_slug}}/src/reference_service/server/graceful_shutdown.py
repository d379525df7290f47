"""A uvicorn server that drains: `ready` turns 503 first, and the listener closes later."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from ..health import Registry

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0  # seconds in which the lifespan ends; dependencies and telemetry need up to 4 s
SHUTDOWN_FAILED = 4  # the exit status if it does not


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains before it closes its listener.

    uvicorn alone closes the listener at once on SIGTERM. Here `ready` turns 503 on the first
    SIGTERM or SIGINT, and `delay` seconds later the server stops accepting connections. Meanwhile
    the orchestrator sends new requests elsewhere, and those that still arrive are answered. A
    second signal ends the process at once, without waiting for requests in flight. If the lifespan
    hangs, the process ends `CLOSE_TIMEOUT` after the requests have had their time.

    on_shutdown: called when the server closes its listener.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        registry: Registry,
        *,
        delay: float,
        on_shutdown: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._registry = registry
        self._delay = delay
        self._on_shutdown = on_shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, and end what does not end by itself. uvicorn calls this."""
        asyncio.get_running_loop().call_soon(self._on_shutdown)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle both signals until the process ends. uvicorn calls this when it serves."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self.should_exit = True

        def start_drain() -> None:
            log.info("draining", extra={"delay": self._delay})
            loop.call_later(self._delay, stop)

        def handle_signal(number: int, _: FrameType | None) -> None:
            if self._registry.draining:
                os._exit(128 + number)
            self._registry.drain()
            requests = self._delay + (self.config.timeout_graceful_shutdown or 0)
            end = threading.Timer(CLOSE_TIMEOUT + (requests if self.started else 0), _end_process)
            end.daemon = True
            end.start()
            loop.call_soon_threadsafe(start_drain)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle_signal)
        yield


def _end_process() -> None:
    """End a process whose lifespan or event loop hangs. It runs in a thread."""
    log.error("shutdown did not end in time")
    logging.shutdown()
    os._exit(SHUTDOWN_FAILED)
