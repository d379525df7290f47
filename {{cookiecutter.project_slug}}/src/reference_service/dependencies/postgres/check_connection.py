"""A connection that a health check has to itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from opentelemetry import trace

MAX_AGE = 60.0
"""Seconds after which another takes its place: an old one works on with a password of yesterday."""

CONNECT_TIMEOUT = 2.0
"""Seconds that opening may take: several round trips, where a question takes one."""


Connect = Callable[[float], Coroutine[Any, Any, asyncpg.Connection]]
"""Opens a connection within so many seconds."""


class ReservedConnection:
    """One connection for one check at a time, opened when it is first used.

    A busy pool never looks like a dead database, a check never takes a request's connection, and
    none has to wait until another has its answer. After any error or cancellation the connection
    is thrown away. Opening may take longer than an attempt: it goes on when the attempt has been
    abandoned, and a later one finds it open. Else a slow database could never be reached again.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._opened_at = 0.0
        self._opening: asyncio.Task[asyncpg.Connection] | None = None

    async def fetchrow(self, query: str) -> asyncpg.Record | None:
        """Return the first row of a query's answer."""
        connection = await self._current()
        try:
            return await connection.fetchrow(f"{query}{_trace_comment()}")
        except BaseException:
            self._drop()
            raise

    async def _current(self) -> asyncpg.Connection:
        """Return the connection; one that is old serves until the next is open, or has failed."""
        now = asyncio.get_running_loop().time()
        old = self._connection is None or now - self._opened_at > MAX_AGE
        if old and self._opening is None:
            self._opening = asyncio.create_task(self._connect(CONNECT_TIMEOUT))
            self._opening.add_done_callback(_take_result)
        if self._opening is not None and (self._connection is None or self._opening.done()):
            await asyncio.wait({self._opening})  # which does not cancel it when it is cancelled
            opened, self._opening = self._opening, None
            self._drop()
            self._connection, self._opened_at = opened.result(), now
        return self._connection

    def close(self) -> None:
        """Drop the connection, and the one that is being opened."""
        if self._opening is not None:
            self._opening.cancel()
        self._drop()

    def _drop(self) -> None:
        """Drop the connection at once, without a word to a server that may not listen."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _trace_comment() -> str:
    """Name the trace, if there is one, in the server's own log and statistics.

    As the specification of SQLCommenter has it. Only hexadecimal digits come in.
    """
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f" /*traceparent='00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}'*/"


def _take_result(opening: asyncio.Task[asyncpg.Connection]) -> None:
    """Look at its end, so that asyncio does not complain that nobody did."""
    if not opening.cancelled():
        opening.exception()
