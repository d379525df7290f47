"""The responses of the three probes at one moment, as a kubelet sees them, and the reasons."""

import contextlib
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

PROBE_TIMEOUT = 1.0
"""Seconds to wait for a response: a kubelet's default `timeoutSeconds`."""

HEALTHY = "200"
NO_RESPONSE = "no response"

VERBOSE_LINE = re.compile(r"\[[-!]\](\S+) (\w+)(?:: (.+))?")
"""A line of `?verbose` about a check that fails or warns: its name, its result and the reason."""


@dataclass(frozen=True)
class ProbeSnapshot:
    """The probes at one moment.

    time: as `time.monotonic` returns it.
    startup, ready, live: the responses, for example "200", "200 warn", "503" or `NO_RESPONSE`.
    failures: the failing and warning checks, for example "name-of-a-check: TimeoutError".
    """

    time: float
    startup: str
    ready: str
    live: str
    failures: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether all probes pass."""
        return self.startup == self.ready == self.live == HEALTHY


def take_snapshot(port: int, management_port: int) -> ProbeSnapshot:
    """Request all probes at once, each on a connection of its own."""
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=4) as threads:
        verbose = threads.submit(http_get, management_port, "/health/ready?verbose")
        probes = [f"/health/{name}" for name in ("startup", "ready", "live")]
        startup, ready, live = threads.map(lambda path: _summary(http_get(port, path)), probes)
    _, lines = verbose.result() or (0, b"")
    failures = tuple(
        f"{name}: {reason or result}"
        for name, result, reason in VERBOSE_LINE.findall(lines.decode())
    )
    return ProbeSnapshot(started, startup, ready, live, failures)


def http_get(port: int, path: str, timeout: float = PROBE_TIMEOUT) -> tuple[int, bytes] | None:
    """Return the status code and the body, or None if there is no complete response.

    timeout: the longest silence in seconds.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    return None


def _summary(response: tuple[int, bytes] | None) -> str:
    if response is None:
        return NO_RESPONSE
    code, body = response
    return f"{code} warn" if json.loads(body)["status"] == "warn" else str(code)
