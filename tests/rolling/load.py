"""Clients that send requests at a constant rate, whatever the responses are."""

import asyncio
import contextlib
import itertools
import json
import re
import select
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from .deployment import Connection

RESPONSE_TIMEOUT = 10.0
"""Seconds to wait for a response."""


@dataclass(frozen=True)
class ClientKind:
    """Clients of one kind. interval: seconds between two requests of each client.

    keep_alive: whether they reuse connections. creates: prefix of the names of the items that they
    create; clients without a prefix read.
    """

    name: str
    clients: int
    interval: float
    keep_alive: bool = False
    creates: str = ""


IDLE = ClientKind("reads on mostly idle connections", 8, interval=3.0, keep_alive=True)
"""The interval is longer than a shutdown, so the service cannot announce the close of each."""
CLIENT_KINDS = (
    ClientKind("reads on new connections", 3, interval=0.1),
    ClientKind("reads on reused connections", 4, interval=0.125, keep_alive=True),
    IDLE,
    ClientKind("writes on new connections", 1, interval=0.1, creates="fast"),
    ClientKind("writes on reused connections", 1, interval=0.1, keep_alive=True, creates="fast"),
    ClientKind("slow writes on new connections", 1, interval=0.5, creates="slow"),
    ClientKind(
        "slow writes on reused connections", 1, interval=0.5, keep_alive=True, creates="slow"
    ),
)


class ConnectionClosedError(Exception):
    """The server closed a reused connection cleanly before it received the request."""


class Load:
    """All clients and their results.

    connect: opens a connection to the service, or raises OSError.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self.requests = Counter[str]()
        """The number of requests by kind of client."""
        self.failures: list[str] = []
        """One sentence for each request without a complete response or with a wrong status code."""
        self.retried = 0
        """How many requests crossed with the close of an idle connection.

        No server can prevent that. Clients send such a request again unless it changes something
        (RFC 9112, section 9.3.1). These clients retry for no other reason.
        """
        self.created: list[str] = []
        """The names of the items whose creation was confirmed."""
        self._connect = connect
        self._numbers = itertools.count()
        self._in_flight: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests in a `with` block, and wait for outstanding responses at its end."""
        clients = [
            asyncio.create_task(self._run_client(kind, kind.interval * place / kind.clients))
            for kind in CLIENT_KINDS
            for place in range(kind.clients)
        ]
        try:
            yield
        finally:
            for client in clients:
                client.cancel()
            await asyncio.wait({*clients, *self._in_flight})

    async def _run_client(self, kind: ClientKind, first_delay: float) -> None:
        pool: list[Connection] = []
        due = time.monotonic() + first_delay
        while True:
            await asyncio.sleep(due - time.monotonic())
            due += kind.interval
            request = asyncio.create_task(self._send(kind, pool))
            self._in_flight.add(request)
            request.add_done_callback(self._in_flight.discard)

    async def _send(self, kind: ClientKind, pool: list[Connection]) -> None:
        self.requests[kind.name] += 1
        item = f"{kind.creates} {next(self._numbers)}" if kind.creates else ""
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT):
                try:
                    code = await self._exchange(item, pool, keep_alive=kind.keep_alive)
                except ConnectionClosedError:
                    if kind is not IDLE:
                        raise
                    self.retried += 1
                    code = await self._exchange(item, [], keep_alive=False)
        except (OSError, EOFError, ValueError, TimeoutError, ConnectionClosedError) as error:
            self.failures.append(f"{kind.name}: {error!r}")
            return
        if code != (201 if item else 200):
            self.failures.append(f"{kind.name}: status {code}")
        elif item:
            self.created.append(item)

    async def _exchange(self, item: str, pool: list[Connection], *, keep_alive: bool) -> int:
        """Send one request, on a pooled connection if there is one, and return the status code.

        Raises OSError, EOFError, ValueError or ConnectionClosedError if the response is incomplete.
        """
        pooled = _take_open_connection(pool)
        reader, writer = pooled or await self._connect()
        reusable = False
        try:
            writer.write(_encode_request(item, keep_alive=keep_alive))
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except asyncio.IncompleteReadError as error:
                if pooled and not error.partial:
                    raise ConnectionClosedError from None
                raise
            length = re.search(r"\r\ncontent-length: (\d+)\r\n", head)
            if length is None:
                raise ValueError("the response has no Content-Length")
            await reader.readexactly(int(length[1]))
            reusable = keep_alive and "\r\nconnection: close\r\n" not in head
            return int(head.split()[1])
        finally:
            if reusable:
                pool.append((reader, writer))
            else:
                writer.transport.abort()


def _encode_request(item: str, *, keep_alive: bool) -> bytes:
    body = json.dumps({"name": item}).encode() if item else b""
    head = [
        "POST /items HTTP/1.1" if item else "GET /items?limit=5 HTTP/1.1",
        "host: reference-service",
        f"connection: {'keep-alive' if keep_alive else 'close'}",
        *(["content-type: application/json", f"content-length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _take_open_connection(pool: list[Connection]) -> Connection | None:
    """Take the most recently used connection that the server has not closed."""
    while pool:
        reader, writer = pool.pop()
        readable = select.poll()
        readable.register(writer.get_extra_info("socket"), select.POLLIN)
        if not reader.at_eof() and not readable.poll(0):
            return reader, writer
        writer.transport.abort()
    return None
