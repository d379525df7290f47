"""Send probe requests as a kubelet does: a new connection for each, and a timeout of one second."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field

POLL_INTERVAL = 0.1
"""Seconds between two requests. A kubelet's interval of several seconds would hide the timeline."""
PROBE_TIMEOUT = 1.0
"""Seconds to wait for a response: a kubelet's default `timeoutSeconds`."""

OK = 200
WARN, RED, NO_RESPONSE, CONNECTION_FAILED = 299, 599, 0, -1
"""Stand for codes: 200 with a warning; 503 or 504; no response in time; refused or broken."""

RED_CODES = (503, 504)


@dataclass(frozen=True)
class ProbeResponse:
    """One response to one probe request. sent_at: seconds of `time.monotonic`."""

    sent_at: float
    status_code: int
    duration: float
    warning: bool = False

    @property
    def code_or_warn(self) -> int:
        """The status code, or WARN."""
        return WARN if self.warning and self.status_code == OK else self.status_code

    def matches(self, code: int) -> bool:
        """Return whether this is the code, or one of those that it stands for."""
        red = code == RED and self.status_code in RED_CODES
        return red or code in (self.status_code, self.code_or_warn)


@dataclass
class Probe:
    """A probe endpoint and its responses, in order."""

    port: int
    path: str
    responses: list[ProbeResponse] = field(default_factory=list)

    async def poll(self) -> None:
        """Send requests until cancelled."""
        due = time.monotonic()
        while True:
            due = max(due + POLL_INTERVAL, time.monotonic())
            self.responses.append(await send_probe(self.port, self.path))
            await asyncio.sleep(due - time.monotonic())

    def responses_since(self, start: float) -> list[ProbeResponse]:
        """Return the responses to requests that were sent at this time or later."""
        return [response for response in self.responses if response.sent_at >= start]


async def send_probe(port: int, path: str, timeout: float = PROBE_TIMEOUT) -> ProbeResponse:  # noqa: ASYNC109 - it is measured, not raised
    """Send one probe request on a new connection."""
    started = time.monotonic()
    code, body = NO_RESPONSE, b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            code, body = await send_request(port, path)
    return ProbeResponse(started, code, time.monotonic() - started, warning=b'"warn"' in body)


async def send_request(
    port: int, path: str, method: str = "GET", body: bytes = b""
) -> tuple[int, bytes]:
    """Return the status code and the body, or CONNECTION_FAILED if the response is incomplete."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + b"\r\n" + body)
        status, _, rest = (await reader.read()).partition(b"\r\n")
        headers, _, body = rest.partition(b"\r\n\r\n")
        code = int(status.split()[1])
        length = re.search(rb"(?i)^content-length: *(\d+)", headers, re.MULTILINE)
        if length and int(length[1]) != len(body):
            return CONNECTION_FAILED, b""
    except (OSError, IndexError, ValueError):
        return CONNECTION_FAILED, b""
    else:
        return code, body
    finally:
        if writer is not None:
            writer.transport.abort()
