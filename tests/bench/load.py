"""The client: keeps connections busy, or a rate, on one thread of its own core, and counts.

It is no general HTTP client. A request is bytes that were written beforehand, a response is its
status code and its length, and connections are reused: so it takes some 10 µs a request where the
quickest server here takes 30, and is never what is measured. Its own time is in its latencies.

    run([Stream(port, get("/items"))], seconds=2)
"""

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

PATIENCE = 10.0
"""Seconds that responses may come after the end."""
LENGTH = b"\r\ncontent-length: "


def get(path: str) -> bytes:
    """Return a request for a path."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return a request that brings some JSON."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Stream:
    """One kind of request, again and again, and how it was answered.

    Connections take turns, so that the server finds none idle and closes it.

    rate: requests a second, however slowly they are answered; without it each connection asks again
    as soon as it has an answer. A request that is due and finds no connection free waits for one,
    and that wait is in its latency.
    """

    port: int
    request: bytes
    connections: int = 16
    rate: float | None = None
    codes: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    """Seconds, by status code."""
    seconds: float = 0.0
    """From the first request to the last answer."""
    unsent: int = 0
    """Requests that were due and never found a connection."""

    @property
    def answered(self) -> int:
        """All answers."""
        return self.codes.total()


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return within how many this share of them lies; 0 of none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Connection:
    def __init__(self, stream: "_Running") -> None:
        self.stream = stream
        self.socket = socket.create_connection(("127.0.0.1", stream.told.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self.received = b""

    def ask(self, since: float) -> None:
        self.since = since
        self.socket.sendall(self.stream.told.request)
        self.stream.outstanding += 1

    def read(self) -> int:
        """Return the status code of a response that is whole, or 0."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server has closed a connection")
        self.received = data = self.received + piece if self.received else piece
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        at = data.find(LENGTH, 0, end + 2)
        length = int(data[at + len(LENGTH) : data.find(b"\r", at + 2)]) if at >= 0 else 0
        if len(data) < end + 4 + length:
            return 0
        self.received = b""
        return int(data[9:12])


class _Running:
    """A stream while it runs."""

    def __init__(self, told: Stream) -> None:
        self.told = told
        self.outstanding = 0
        self.last = 0.0
        self.free = deque(_Connection(self) for _ in range(told.connections))
        self.due: deque[float] = deque()
        self.next = 0.0

    def begin(self, now: float) -> None:
        self.next = now
        if self.told.rate is None:
            while self.free:
                self.free.popleft().ask(now)

    def go_on(self, now: float, end: float) -> None:
        """Send what is due by now, until the end."""
        if self.told.rate is None or now >= end:
            return
        while self.next <= now:
            self.due.append(self.next)
            self.next += 1 / self.told.rate
        while self.due and self.free:
            self.free.popleft().ask(self.due.popleft())

    def answered(self, connection: _Connection, code: int, now: float, end: float) -> None:
        self.outstanding -= 1
        self.last = now
        self.told.codes[code] += 1
        self.told.latencies.setdefault(code, []).append(now - connection.since)
        if self.told.rate is None and now < end:
            connection.ask(now)
        elif self.due and now < end:
            connection.ask(self.due.popleft())
        else:
            self.free.append(connection)


def run(streams: Sequence[Stream], seconds: float) -> None:
    """Send for so long, wait for the answers that are owed, and note all in the streams.

    Raises ConnectionError when a server closes a connection, TimeoutError when answers stay away.
    """
    running = [_Running(stream) for stream in streams]
    connections = [connection for stream in running for connection in stream.free]
    with selectors.DefaultSelector() as selector:
        try:
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            _exchange(running, selector, seconds)
        finally:
            for connection in connections:
                connection.socket.close()


def _exchange(running: list[_Running], selector: selectors.BaseSelector, seconds: float) -> None:
    clock = time.perf_counter
    start = now = clock()
    end = start + seconds
    paced = [stream for stream in running if stream.told.rate is not None]
    for stream in running:
        stream.begin(start)
    while now < end or any(stream.outstanding for stream in running):
        for stream in paced:
            stream.go_on(now, end)
        until = min((stream.next for stream in paced), default=end) if now < end else now + 0.1
        for key, _ in selector.select(max(until - now, 0.0)):
            connection = key.data
            code = connection.read()
            if code:
                connection.stream.answered(connection, code, clock(), end)
        now = clock()
        if now > end + PATIENCE:
            raise TimeoutError("answers stay away")
    for stream in running:
        stream.told.seconds = max(stream.last - start, seconds)
        stream.told.unsent = len(stream.due)
