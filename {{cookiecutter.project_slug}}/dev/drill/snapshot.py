"""Asks the three probes as a kubelet does, and the management port for the reason."""

import contextlib
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

PATIENCE = 1.0
"""Seconds until an answer counts as none: a kubelet's default `timeoutSeconds`."""

WELL = "200"
NO_ANSWER = "no answer"

NOT_WELL = re.compile(r"\[[-!]\](\S+) (\w+)(?:: (.+))?")
"""A line of `?verbose` about a check that fails or warns: its name, a word, and why."""


@dataclass(frozen=True)
class Look:
    """What was seen at one moment.

    at: seconds of `time.monotonic`. startup, ready, live: what the probes answer, as "200",
    "200 warn", "503" or `NO_ANSWER`. faults: what is not well, as "name-of-a-check: TimeoutError".
    """

    at: float
    startup: str
    ready: str
    live: str
    faults: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether the service is up and can do its work."""
        return self.startup == self.ready == self.live == WELL


def look(port: int, management_port: int) -> Look:
    """Ask all at once, each on a connection of its own."""
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=4) as threads:
        verbose = threads.submit(get, management_port, "/health/ready?verbose")
        probes = [f"/health/{name}" for name in ("startup", "ready", "live")]
        startup, ready, live = threads.map(lambda path: _answer(get(port, path)), probes)
    _, lines = verbose.result() or (0, b"")
    faults = tuple(f"{name}: {why or word}" for name, word, why in NOT_WELL.findall(lines.decode()))
    return Look(started, startup, ready, live, faults)


def get(port: int, path: str, timeout: float = PATIENCE) -> tuple[int, bytes] | None:
    """Give the status code and the body of a request, or None if there is no whole answer.

    timeout: seconds without a sign of it.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    return None


def _answer(got: tuple[int, bytes] | None) -> str:
    if got is None:
        return NO_ANSWER
    code, body = got
    return f"{code} warn" if json.loads(body)["status"] == "warn" else str(code)
