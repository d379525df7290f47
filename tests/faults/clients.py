"""Clients of the service: they send each kind of request several times per second."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import uuid4

from .probe_client import CONNECTION_FAILED, NO_RESPONSE

INTERVAL = 0.25
"""Seconds between two requests of one kind, unless the first one takes longer."""
PATIENCE = 2.0
"""Seconds that a client waits for a response, the time to connect included."""
CHANGE = b'{"name": "changed", "description": "by a client"}'


@dataclass(frozen=True)
class Response:
    """What a client got. sent_at: seconds of `time.monotonic`. status_code: as for a probe."""

    sent_at: float
    status_code: int
    duration: float

    @property
    def succeeded(self) -> bool:
        """Whether the client got what it asked for. A missing item is a correct answer."""
        successful = HTTPStatus.OK <= self.status_code < HTTPStatus.MULTIPLE_CHOICES
        return successful or self.status_code == HTTPStatus.NOT_FOUND

    @property
    def received_at(self) -> float:
        """When the response arrived, or when the client gave up."""
        return self.sent_at + self.duration


class KeepAliveConnection:
    """A connection that is kept between requests, and opened again after a failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: bytes = b"") -> int:
        """Return the status code of the response, or CONNECTION_FAILED or NO_RESPONSE."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._request(method, path, body)
        except TimeoutError:
            self.close()
            return NO_RESPONSE
        except (OSError, EOFError, ValueError, IndexError):
            self.close()
            return CONNECTION_FAILED

    async def _request(self, method: str, path: str, body: bytes) -> int:
        """Send a request. A kept connection that the server has closed is replaced once."""
        if self._streams is not None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                return await self._exchange(*self._streams, method, path, body)
            self.close()
        self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return await self._exchange(*self._streams, method, path, body)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        body: bytes,
    ) -> int:
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return int(status.split()[1])

    def close(self) -> None:
        """Abort the connection if it is open."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Kind:
    """One kind of request, and what its client got, in order.

    path: `{id}` becomes the id of no item, a new one for each request, so no cache has it.
    core: whether it is the service's core work. writes: whether it changes items.
    """

    name: str
    method: str
    path: str
    body: bytes = b""
    core: bool = True
    writes: bool = False
    responses: list[Response] = field(default_factory=list)

    async def send_continuously(self, port: int) -> None:
        """Send requests until cancelled, one at a time."""
        connection = KeepAliveConnection(port)
        try:
            while True:
                response = await self._send(connection)
                self.responses.append(response)
                due = response.sent_at + INTERVAL
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            connection.close()

    async def _send(self, connection: KeepAliveConnection) -> Response:
        path = self.path.replace("{id}", str(uuid4()))
        started = time.monotonic()
        code = await connection.request(self.method, path, self.body)
        return Response(started, code, time.monotonic() - started)


def client_mix(cached: str, changed: str, *, writable: bool) -> list[Kind]:
    """Return the kinds of requests that the clients send.

    cached, changed: ids of items: one that is only read, one that is changed. writable: whether
    writing is core work, which it is not for a service that reads from a standby.
    """
    reads = [
        Kind("read", "GET", "/items/{id}"),
        Kind("cached read", "GET", f"/items/{cached}"),
        Kind("page", "GET", "/items?limit=5"),
        Kind("stock", "GET", f"/items/{cached}/stock", core=False),
    ]
    writes = [
        Kind("create", "POST", "/items", b'{"name": "from a client"}', writes=True),
        Kind("change", "PATCH", f"/items/{changed}", CHANGE, writes=True),
    ]
    return reads + writes if writable else reads


@contextlib.asynccontextmanager
async def running_clients(kinds: Sequence[Kind], port: int) -> AsyncIterator[None]:
    """Send requests of every kind at the same time, each on a connection of its own."""
    tasks = [asyncio.create_task(kind.send_continuously(port)) for kind in kinds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
