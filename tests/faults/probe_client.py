"""Asks probes as a kubelet does: on a connection each, with a second of patience."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field

PERIOD = 0.1
"""Seconds between two questions: a kubelet's few seconds would hide the timeline."""
PATIENCE = 1.0
"""Seconds until an answer counts as none: a kubelet's default `timeoutSeconds`."""

SILENT, REFUSED = 0, -1
"""What stands for a code where there is none: no answer in time; no connection, or a broken one."""


@dataclass(frozen=True)
class Answer:
    """One answer to one probe. at: seconds of `time.monotonic`; took: seconds."""

    at: float
    code: int
    took: float
    warns: bool = False


@dataclass
class Probe:
    """What one probe answered, in order."""

    port: int
    path: str
    answers: list[Answer] = field(default_factory=list)

    async def poll(self) -> None:
        """Ask for ever."""
        due = time.monotonic()
        while True:
            due = max(due + PERIOD, time.monotonic())
            self.answers.append(await ask(self.port, self.path))
            await asyncio.sleep(due - time.monotonic())

    def since(self, at: float) -> list[Answer]:
        """Return the answers to what was asked from then on."""
        return [answer for answer in self.answers if answer.at >= at]


async def ask(port: int, path: str, patience: float = PATIENCE) -> Answer:
    """Ask once, on a connection of its own."""
    started = time.monotonic()
    code, body = SILENT, b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            code, body = await fetch(port, path)
    return Answer(started, code, time.monotonic() - started, warns=b'"warn"' in body)


async def fetch(port: int, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """Return the status code and body of a request; REFUSED where there is no whole answer."""
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
        return (code, body) if not length or int(length[1]) == len(body) else (REFUSED, b"")
    except (OSError, IndexError, ValueError):
        return REFUSED, b""
    finally:
        if writer is not None:
            writer.transport.abort()
