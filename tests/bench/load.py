"""The client: keep connections busy, or a rate, with one thread on its own core, and count.

This is not a general HTTP client. A request is prepared bytes, a response is its status code and
its length, and connections are reused. It takes about 10 µs per request, and the fastest server
here takes 30 µs, so the client is never the bottleneck. Latencies include the client's own time.

    send([RequestStream(port, get("/items"))], seconds=2)
"""

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

RESPONSE_TIMEOUT = 10.0
"""Seconds to wait for outstanding responses at the end."""
CONNECT_TIMEOUT = 10.0
CONTENT_LENGTH = b"\r\ncontent-length: "


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class RequestStream:
    """One request that is sent repeatedly, and its responses.

    Connections take turns, so that the server does not close one of them as idle.

    rate: requests per second, independent of the responses. Without it, each connection sends the
    next request as soon as it has a response. A request that finds no free connection waits for
    one, and its latency includes this wait.

    may_fail: whether requests without a response are counted in `failed`, and raise nothing.
    """

    port: int
    request: bytes
    connections: int = 16
    rate: float | None = None
    may_fail: bool = False
    status_codes: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    """Seconds, by status code."""
    duration: float = 0.0
    """Seconds from the first request to the last response."""
    failed: int = 0
    """Requests whose connection was closed, or whose response is missing at the end."""
    delays: list[float] = field(default_factory=list)
    """Seconds by which the client itself was late. They are part of the latencies."""
    unsent: int = 0
    """Requests that were due but found no free connection."""

    @property
    def response_count(self) -> int:
        """The number of responses."""
        return self.status_codes.total()


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies, or 0 if there are none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Connection:
    def __init__(self, active: "_ActiveStream") -> None:
        self.active = active
        address = ("127.0.0.1", active.stream.port)
        self.socket = socket.create_connection(address, timeout=CONNECT_TIMEOUT)
        self.socket.settimeout(None)  # `_exchange` reads only what has arrived
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.received = b""

    def send(self, due: float) -> None:
        self.due = due
        self.active.outstanding += 1
        try:
            self.socket.sendall(self.active.stream.request)
        except ConnectionError:
            if not self.active.stream.may_fail:
                raise  # otherwise reading fails as well

    def wait_until_accepted(self) -> None:
        """Wait for a response that is not recorded. A server accepts connections in order."""
        self.socket.settimeout(RESPONSE_TIMEOUT)
        self.socket.sendall(self.active.stream.request)
        while not self.read():
            pass
        self.socket.settimeout(None)

    def read(self) -> int:
        """Return the status code of a complete response, or 0."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self.received = data = self.received + piece if self.received else piece
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        at = data.find(CONTENT_LENGTH, 0, end + 2)
        length = int(data[at + len(CONTENT_LENGTH) : data.find(b"\r", at + 2)]) if at >= 0 else 0
        if len(data) < end + 4 + length:
            return 0
        self.received = b""
        return int(data[9:12])


class _ActiveStream:
    """A stream with its open connections."""

    def __init__(self, stream: RequestStream) -> None:
        self.stream = stream
        self.outstanding = 0
        self.last_response = 0.0
        self.free = deque(_Connection(self) for _ in range(stream.connections))
        self.waiting: deque[float] = deque()
        """When each request was due that waits for a connection."""
        self.next_due = 0.0

    def start(self, now: float) -> None:
        self.next_due = now
        if self.stream.rate is None:
            while self.free:
                self.free.popleft().send(now)

    def send_due(self, now: float, end: float) -> None:
        """Send the requests that are due, unless the time is over."""
        if self.stream.rate is None or now >= end:
            return
        if self.next_due <= now:
            self.stream.delays.append(now - self.next_due)
        while self.next_due <= now:
            self.waiting.append(self.next_due)
            self.next_due += 1 / self.stream.rate
        while self.waiting and self.free:
            self.free.popleft().send(self.waiting.popleft())

    def record_response(self, connection: _Connection, code: int, now: float, end: float) -> None:
        """Count a response, and send the next request on the same connection if one is due."""
        self.outstanding -= 1
        self.last_response = now
        self.stream.status_codes[code] += 1
        self.stream.latencies.setdefault(code, []).append(now - connection.due)
        if self.stream.rate is None and now < end:
            connection.send(now)
        elif self.waiting and now < end:
            connection.send(self.waiting.popleft())
        else:
            self.free.append(connection)

    def record_loss(self, connection: _Connection) -> None:
        """Count a connection that the server has closed, and do not use it again."""
        if connection in self.free:
            self.free.remove(connection)
        else:
            self.outstanding -= 1
            self.stream.failed += 1


def send(streams: Sequence[RequestStream], seconds: float, *, settle: bool = False) -> None:
    """Send requests for some seconds, wait for outstanding responses, and record all of them.

    settle: first wait until the server has accepted every connection.

    Raises ConnectionError if a server closes a connection, TimeoutError if responses are missing,
    unless the stream may fail.
    """
    active = [_ActiveStream(stream) for stream in streams]
    connections = [connection for stream in active for connection in stream.free]
    with selectors.DefaultSelector() as selector:
        try:
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            if settle:
                connections[-1].wait_until_accepted()
            _exchange(active, selector, seconds)
        finally:
            for connection in connections:
                connection.socket.close()


def _read_or_give_up(connection: _Connection, selector: selectors.BaseSelector) -> int:
    """Return the status code of a complete response, or 0."""
    try:
        return connection.read()
    except ConnectionError:
        if not connection.active.stream.may_fail:
            raise
        selector.unregister(connection.socket)
        connection.active.record_loss(connection)
        return 0


def _exchange(
    active: list[_ActiveStream], selector: selectors.BaseSelector, seconds: float
) -> None:
    clock = time.perf_counter
    start = now = clock()
    end = start + seconds
    with_rate = [stream for stream in active if stream.stream.rate is not None]
    for stream in active:
        stream.start(start)
    while now < end or any(stream.outstanding for stream in active):
        for stream in with_rate:
            stream.send_due(now, end)
        next_due = min((stream.next_due for stream in with_rate), default=end)
        wake_up = next_due if now < end else now + 0.1
        for key, _ in selector.select(max(wake_up - now, 0.0)):
            connection = key.data
            code = _read_or_give_up(connection, selector)
            if code:
                connection.active.record_response(connection, code, clock(), end)
        now = clock()
        if now > end + RESPONSE_TIMEOUT:
            break
    for stream in active:
        stream.stream.duration = max(stream.last_response - start, seconds)
        stream.stream.unsent = len(stream.waiting)
        stream.stream.failed += stream.outstanding
        if stream.outstanding and not stream.stream.may_fail:
            raise TimeoutError("responses are missing")
