"""Clients of a proxy: they send requests at a constant rate, and say how requests are lost."""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from .deployment import Connection
from .load import take_open_connection

PATIENCE = 30.0
"""Seconds that a client waits for a response: longer than every timeout of the proxies."""
UPLOAD_SECONDS = 0.4
UPLOAD_PARTS = 8
UPLOAD_PART = b" " * 4096
"""White space in front of the JSON of an upload."""
STREAM_PATH = "/stream"
"""A route that the tests add to the service: it sends `STREAM_BYTES` bytes in `STREAM_SECONDS`."""
STREAM_SECONDS = 0.5
STREAM_PARTS = 10
STREAM_BYTES = 10_000


@dataclass(frozen=True)
class ClientKind:
    """Requests of one kind. share: of all requests. keep_alive: whether connections are reused.

    method, path: of the request. uploads: whether the body takes a moment.
    """

    name: str
    share: float
    method: str = "GET"
    path: str = "/items?limit=5"
    keep_alive: bool = True
    uploads: bool = False


CLIENT_KINDS = (
    ClientKind("GET", 0.4),
    ClientKind("GET on new connections", 0.1, keep_alive=False),
    ClientKind("POST", 0.3, "POST", "/items"),
    ClientKind("uploads", 0.1, "POST", "/items", uploads=True),
    ClientKind("streams", 0.1, path=STREAM_PATH),
)


class TruncatedError(Exception):
    """The response ended before it was complete."""


class ClosedError(Exception):
    """The connection was closed before a response began."""


@dataclass(frozen=True)
class Result:
    """What one request led to. outcome: the status code, or how the request was lost."""

    kind: ClientKind
    sent_at: float
    duration: float
    outcome: str

    @property
    def lost(self) -> bool:
        """Whether the client did not get the expected response."""
        return self.outcome != ("201" if self.kind.method == "POST" else "200")


def lost(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """Count the lost requests by kind of request and by outcome."""
    return {
        kind.name: dict(Counter(each.outcome for each in found))
        for kind in CLIENT_KINDS
        if (found := [each for each in results if each.kind is kind and each.lost])
    }


class Clients:
    """The clients of one proxy. name: prefix of the items that they create. rate: per second."""

    def __init__(self, name: str, port: int, rate: float) -> None:
        self.results: list[Result] = []
        self.created: list[str] = []
        """The names of the items whose creation was confirmed."""
        self._name = name
        self._port = port
        self._rate = rate
        self._numbers = itertools.count()
        self._in_flight: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests in a `with` block, and wait for outstanding responses at its end."""
        clients = [asyncio.create_task(self._run(kind)) for kind in CLIENT_KINDS]
        try:
            yield
        finally:
            for client in clients:
                client.cancel()
            await asyncio.wait({*clients, *self._in_flight})

    async def _run(self, kind: ClientKind) -> None:
        pool: list[Connection] = []
        due = time.monotonic()
        while True:
            due += 1 / (self._rate * kind.share)
            await asyncio.sleep(due - time.monotonic())
            request = asyncio.create_task(self._send(kind, pool))
            self._in_flight.add(request)
            request.add_done_callback(self._in_flight.discard)

    async def _send(self, kind: ClientKind, pool: list[Connection]) -> None:
        item = f"{self._name} {next(self._numbers)}" if kind.method == "POST" else ""
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                outcome = await self._exchange(kind, item, pool)
        except ConnectionRefusedError:
            outcome = "refused"
        except (ConnectionResetError, BrokenPipeError):
            outcome = "reset"
        except ClosedError:
            outcome = "closed"
        except (asyncio.IncompleteReadError, TruncatedError):
            outcome = "truncated"
        except TimeoutError:
            outcome = "timeout"
        result = Result(kind, sent_at, time.monotonic() - sent_at, outcome)
        self.results.append(result)
        if item and not result.lost:
            self.created.append(item)

    async def _exchange(self, kind: ClientKind, item: str, pool: list[Connection]) -> str:
        """Send one request, on a pooled connection if there is one, and return the status code."""
        reader, writer = take_open_connection(pool) or await asyncio.open_connection(
            "127.0.0.1", self._port
        )
        reusable = False
        try:
            sending = asyncio.create_task(_send_request(writer, kind, item))
            try:
                status, reusable, length = await _read_response(reader)
                reusable &= kind.keep_alive and sending.done()
            finally:
                sending.cancel()
            if status == "200" and kind.path == STREAM_PATH and length != STREAM_BYTES:
                raise TruncatedError
            return status
        finally:
            if reusable:
                pool.append((reader, writer))
            else:
                writer.transport.abort()


async def _send_request(writer: asyncio.StreamWriter, kind: ClientKind, item: str) -> None:
    body = json.dumps({"name": item}).encode() if item else b""
    length = len(body) + (UPLOAD_PARTS * len(UPLOAD_PART) if kind.uploads else 0)
    head = [
        f"{kind.method} {kind.path} HTTP/1.1",
        "host: reference-service",
        f"connection: {'keep-alive' if kind.keep_alive else 'close'}",
        *(["content-type: application/json", f"content-length: {length}"] if item else []),
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    for _ in range(UPLOAD_PARTS if kind.uploads else 0):
        writer.write(UPLOAD_PART)
        await asyncio.sleep(UPLOAD_SECONDS / UPLOAD_PARTS)
    writer.write(body)


async def _read_response(reader: asyncio.StreamReader) -> tuple[str, bool, int]:
    """Return the status code, whether the connection stays open, and the length of the body.

    The code of an error is followed by " of the service" unless the proxy has sent it.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except asyncio.IncompleteReadError as error:
        raise (TruncatedError if error.partial else ClosedError) from None
    lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    if headers.get("transfer-encoding") == "chunked":
        length = 0
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
            length += size
        await reader.readexactly(2)
    else:
        length = int(headers["content-length"])
        await reader.readexactly(length)
    status = lines[0].split()[1]
    if headers.get("content-type") == "application/problem+json":
        status += " of the service"
    return status, headers.get("connection") != "close", length
