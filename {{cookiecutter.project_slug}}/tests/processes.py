"""Starts the service as its users do, and waits for what it does."""

import socket
import time
from collections.abc import Callable

import httpx


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], within: float = 30.0) -> float:
    """Wait for a condition, and return the seconds it took; a refused connection is not yet."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        took = time.monotonic() - started
        assert took < within, f"waited {took:.1f} s in vain"
        time.sleep(0.02)
