"""Clients that ask at a steady rate, whatever they are answered."""

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

PATIENCE = 10.0
"""Seconds until an answer counts as none."""


@dataclass(frozen=True)
class Kind:
    """Clients of one kind. every: seconds between two requests of each.

    keeps: whether they keep connections, and ask on one that they have. creates: what the names of
    the items begin with that they create; without it they read.
    """

    name: str
    clients: int
    every: float
    keeps: bool = False
    creates: str = ""


RESTING = Kind("reads on connections that mostly rest", 8, every=3.0, keeps=True)
"""Longer than a process takes to leave, so that it cannot tell them all in time."""
KINDS = (
    Kind("reads on a connection each", 3, every=0.1),
    Kind("reads on kept connections", 4, every=0.125, keeps=True),
    RESTING,
    Kind("writes on a connection each", 1, every=0.1, creates="fast"),
    Kind("writes on kept connections", 1, every=0.1, keeps=True, creates="fast"),
    Kind("slow writes on a connection each", 1, every=0.5, creates="slow"),
    Kind("slow writes on kept connections", 1, every=0.5, keeps=True, creates="slow"),
)


class ClosedError(Exception):
    """The other end had closed a kept connection in order before it saw the request."""


class Load:
    """All clients together, and what they met.

    connect: opens a connection to the service; raises OSError.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self.asked = Counter[str]()
        self.lost: list[str] = []
        """A sentence for each request that had no whole answer, or not the one it should have."""
        self.crossed = 0
        """How many met, on their way, the news that a resting connection was closed.

        No server can prevent that. A client sends such a request again, unless it changes something
        (RFC 9112, section 9.3.1), and so do ours. It is the one reason for which they do.
        """
        self.created: list[str] = []
        """The names of the items whose creation was confirmed."""
        self._connect = connect
        self._number = itertools.count()
        self._requests: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask meanwhile, and in the end wait for what is still unanswered."""
        clients = [
            asyncio.create_task(self._client(kind, kind.every * place / kind.clients))
            for kind in KINDS
            for place in range(kind.clients)
        ]
        try:
            yield
        finally:
            for client in clients:
                client.cancel()
            await asyncio.wait({*clients, *self._requests})

    async def _client(self, kind: Kind, wait: float) -> None:
        pool: list[Connection] = []
        due = time.monotonic() + wait
        while True:
            await asyncio.sleep(due - time.monotonic())
            due += kind.every
            request = asyncio.create_task(self._ask(kind, pool))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _ask(self, kind: Kind, pool: list[Connection]) -> None:
        self.asked[kind.name] += 1
        name = f"{kind.creates} {next(self._number)}" if kind.creates else ""
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    code = await self._exchange(name, pool, keep=kind.keeps)
                except ClosedError:
                    if kind is not RESTING:
                        raise
                    self.crossed += 1
                    code = await self._exchange(name, [], keep=False)
        except (OSError, EOFError, ValueError, TimeoutError, ClosedError) as error:
            self.lost.append(f"{kind.name}: {error!r}")
            return
        if code != (201 if name else 200):
            self.lost.append(f"{kind.name}: answered {code}")
        elif name:
            self.created.append(name)

    async def _exchange(self, name: str, pool: list[Connection], *, keep: bool) -> int:
        """Ask once, on a connection of the pool if it has one, and return the status code.

        Raises OSError, EOFError, ValueError or ClosedError where there is no whole answer.
        """
        kept = _usable(pool)
        reader, writer = kept or await self._connect()
        usable = False
        try:
            writer.write(_request(name, keep=keep))
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except asyncio.IncompleteReadError as error:
                if kept and not error.partial:
                    raise ClosedError from None
                raise
            length = re.search(r"\r\ncontent-length: (\d+)\r\n", head)
            if length is None:
                raise ValueError("an answer without a length")
            await reader.readexactly(int(length[1]))
            usable = keep and "\r\nconnection: close\r\n" not in head
            return int(head.split()[1])
        finally:
            if usable:
                pool.append((reader, writer))
            else:
                writer.transport.abort()


def _request(name: str, *, keep: bool) -> bytes:
    body = json.dumps({"name": name}).encode() if name else b""
    head = [
        "POST /items HTTP/1.1" if name else "GET /items?limit=5 HTTP/1.1",
        "host: reference-service",
        f"connection: {'keep-alive' if keep else 'close'}",
        *(["content-type: application/json", f"content-length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _usable(pool: list[Connection]) -> Connection | None:
    """Take the connection that was used last, unless the other end has closed it."""
    while pool:
        reader, writer = pool.pop()
        news = select.poll()
        news.register(writer.get_extra_info("socket"), select.POLLIN)
        if not reader.at_eof() and not news.poll(0):
            return reader, writer
        writer.transport.abort()
    return None
