"""Learns from the service's own requests: how busy it is, and when a verdict may be wrong."""

import time

from .asgi import ASGIApp, Message, Receive, Scope, Send
from .registry import Registry

RECHECK_STATUS_CODES = frozenset({500, 503, 504})


class Traffic:
    """Counts business requests for the load score; an error answer makes every check look again.

    Active probing where traffic is scarce, evidence from traffic where it is plentiful.
    """

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self.app = app
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch one request pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        load, started = self.registry.load, time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                load.observe(time.perf_counter() - started)
                if message["status"] in RECHECK_STATUS_CODES:
                    self.registry.recheck()
            await send(message)

        load.in_flight += 1
        try:
            await self.app(scope, receive, watch)
        finally:
            load.in_flight -= 1
