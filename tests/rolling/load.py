"""Clients that send requests at a constant rate, whatever the responses are."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import re
import select
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from .deployment import Connection

RESPONSE_TIMEOUT = 10.0
"""Seconds to wait for a response."""


@dataclass(frozen=True)
class ClientKind:
    """Clients of one kind. interval: seconds between two requests of each client.

    keep_alive: whether they reuse connections. creates: prefix of the names of the items that they
    create; clients without a prefix read `path`.
    """

    name: str
    clients: int
    interval: float
    keep_alive: bool = False
    creates: str = ""
    path: str = "/items?limit=5"


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


@dataclass(frozen=True)
class Response:
    """A complete response. retry_after: whether it has that header."""

    status: int
    retry_after: bool


@dataclass(frozen=True)
class Result:
    """What one request led to. sent_at: seconds of `time.monotonic`. duration: in seconds.

    outcome: the status code, or the name of the exception if there was no complete response.
    """

    kind: ClientKind
    sent_at: float
    duration: float
    outcome: str
    retry_after: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the response was the expected one."""
        return self.outcome == ("201" if self.kind.creates else "200")


class ConnectionClosedError(Exception):
    """The server closed a reused connection cleanly before it received the request."""


class Load:
    """All clients and their results.

    connect: opens a connection to the service, or raises OSError. patience: seconds that a client
    waits for a response.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        kinds: Sequence[ClientKind] = CLIENT_KINDS,
        patience: float = RESPONSE_TIMEOUT,
    ) -> None:
        self.results: list[Result] = []
        """One for each request, in the order in which they ended."""
        self.retried = 0
        """How many requests crossed with the close of an idle connection.

        No server can prevent that. Clients send such a request again unless it changes something
        (RFC 9112, section 9.3.1). These clients retry for no other reason.
        """
        self.created: list[str] = []
        """The names of the items whose creation was confirmed."""
        self._connect = connect
        self._kinds = kinds
        self._patience = patience
        self._numbers = itertools.count()
        self._in_flight: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> Counter[str]:
        """The number of requests by kind of client."""
        return Counter(result.kind.name for result in self.results)

    @property
    def failures(self) -> list[str]:
        """One text for each request without a complete response or with a wrong status code."""
        return [f"{each.kind.name}: {each.outcome}" for each in self.results if not each.succeeded]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests in a `with` block, and wait for outstanding responses at its end."""
        clients = [
            asyncio.create_task(self._run_client(kind, kind.interval * place / kind.clients))
            for kind in self._kinds
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
        item = f"{kind.creates} {next(self._numbers)}" if kind.creates else ""
        sent_at = time.monotonic()
        response = Response(0, retry_after=False)
        outcome = ""
        try:
            async with asyncio.timeout(self._patience):
                try:
                    response = await self._exchange(kind, item, pool)
                except ConnectionClosedError:
                    if kind is not IDLE:
                        raise
                    self.retried += 1
                    fresh = dataclasses.replace(kind, keep_alive=False)
                    response = await self._exchange(fresh, item, [])
        except (OSError, EOFError, ValueError, TimeoutError, ConnectionClosedError) as error:
            outcome = type(error).__name__
        result = Result(
            kind,
            sent_at,
            time.monotonic() - sent_at,
            outcome or str(response.status),
            response.retry_after,
        )
        self.results.append(result)
        if item and result.succeeded:
            self.created.append(item)

    async def _exchange(self, kind: ClientKind, item: str, pool: list[Connection]) -> Response:
        """Send one request, on a pooled connection if there is one, and return the response.

        Raises OSError, EOFError, ValueError or ConnectionClosedError if the response is incomplete.
        """
        pooled = take_open_connection(pool)
        reader, writer = pooled or await self._connect()
        reusable = False
        try:
            writer.write(_encode_request(kind, item))
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
            reusable = kind.keep_alive and "\r\nconnection: close\r\n" not in head
            return Response(int(head.split()[1]), retry_after="\r\nretry-after: " in head)
        finally:
            if reusable:
                pool.append((reader, writer))
            else:
                writer.transport.abort()


def _encode_request(kind: ClientKind, item: str) -> bytes:
    body = json.dumps({"name": item}).encode() if item else b""
    head = [
        "POST /items HTTP/1.1" if item else f"GET {kind.path} HTTP/1.1",
        "host: reference-service",
        f"connection: {'keep-alive' if kind.keep_alive else 'close'}",
        *(["content-type: application/json", f"content-length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def take_open_connection(pool: list[Connection]) -> Connection | None:
    """Take the most recently used connection that the other end has not closed."""
    while pool:
        reader, writer = pool.pop()
        readable = select.poll()
        readable.register(writer.get_extra_info("socket"), select.POLLIN)
        if not reader.at_eof() and not readable.poll(0):
            return reader, writer
        writer.transport.abort()
    return None
