"""Clients that send at a fixed rate in an open loop, reconnect, and count every request."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_CONNECTIONS = 1000
"""Requests that are due beyond this number wait, and their latency includes the wait."""
RESPONSE_TIMEOUT = 20.0
"""Seconds until a request counts as unanswered: twice the request timeout of the service."""
REUSE_WITHIN = 1.0
"""Seconds for which an idle connection is reused: less than the server's keep-alive timeout."""


@dataclass(frozen=True)
class Unanswered:
    """A request without a complete response. sent_at: monotonic seconds."""

    sent_at: float
    reason: str


@dataclass
class Second:
    """What ended since the last sample. latencies: seconds of the requests that succeeded."""

    codes: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    unanswered: int = 0
    worst_delay: float = 0.0
    """Seconds by which the client itself was late."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.idle_since = 0.0
        self.reusable = True

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.idle_since < REUSE_WITHIN and not self.reader.at_eof()

    async def exchange(self, request: bytes) -> int:
        """Return the status code of a complete response. Raises OSError or EOFError."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        await self.reader.readexactly(length)
        self.reusable = b"\r\nconnection: close" not in head
        return int(head[9:12])


class Traffic:
    """Requests of a fixed mix. factor: multiplies the rate, for a burst."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self.port, self.requests = port, requests
        self.factor = 1.0
        self.totals: Counter[int] = Counter()
        self.sent = 0
        self.unanswered: list[Unanswered] = []
        self._second = Second()
        self._free: list[_Connection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    def take_second(self) -> Second:
        """Return what ended since the last call."""
        taken, self._second = self._second, Second()
        return taken

    async def closed_loop(self, clients: int, seconds: float) -> float:
        """Keep a number of clients busy, and return the successful responses per second."""
        end = time.monotonic() + seconds
        before = self._successes

        async def client(number: int) -> None:
            while time.monotonic() < end:
                number += 1
                await self._send(time.monotonic(), self.requests[number % len(self.requests)])

        await asyncio.gather(*(client(number) for number in range(clients)))
        return (self._successes - before) / seconds

    async def open_loop(self, rate: float, seconds: float) -> None:
        """Send requests per second whether or not earlier ones are answered; wait for all."""
        due = time.monotonic()
        end = due + seconds
        async with asyncio.TaskGroup() as tasks:
            while (now := time.monotonic()) < end:
                self._second.worst_delay = max(self._second.worst_delay, now - due)
                while due <= now:
                    request = self.requests[self.sent % len(self.requests)]
                    tasks.create_task(self._send(due, request))
                    due += 1 / (rate * self.factor)
                await asyncio.sleep(max(due - time.monotonic(), 0.002))

    def close(self) -> None:
        """Close the idle connections."""
        while self._free:
            self._free.pop().writer.close()

    @property
    def _successes(self) -> int:
        return sum(count for code, count in self.totals.items() if code < 400)

    async def _send(self, due: float, request: bytes) -> None:
        self.sent += 1
        connection: _Connection | None = None
        async with self._slots:
            try:
                async with asyncio.timeout(RESPONSE_TIMEOUT):
                    connection = await self._connection()
                    code = await connection.exchange(request)
            except (OSError, EOFError) as error:  # TimeoutError is an OSError
                self.unanswered.append(Unanswered(due, repr(error)))
                self._second.unanswered += 1
                if connection:
                    connection.writer.transport.abort()
                return
        now = time.monotonic()
        self.totals[code] += 1
        self._second.codes[code] += 1
        if code < 400:
            self._second.latencies.append(now - due)
        connection.idle_since = now
        if connection.reusable:
            self._free.append(connection)
        else:
            connection.writer.close()

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if connection.is_fresh:
                return connection
            connection.writer.close()
        return _Connection(*await asyncio.open_connection("127.0.0.1", self.port))
