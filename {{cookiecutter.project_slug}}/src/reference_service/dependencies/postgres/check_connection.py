"""A connection that one health check has to itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from opentelemetry import trace

from ...health.tasks import ignore_exception

MAX_AGE = 60.0  # seconds until the connection is replaced: an old one works with an old password
CONNECT_TIMEOUT = 2.0  # seconds to open a connection: several round trips, where a query takes one

# Opens a connection within the given number of seconds.
Connect = Callable[[float], Coroutine[Any, Any, asyncpg.Connection]]


class CheckConnection:
    """One connection for one check at a time, opened when it is first used.

    So a busy pool does not look like a failed database, a check takes no connection from a
    request, and no check waits for another. Any error or cancellation drops the connection.

    Opening one continues when an attempt is abandoned, and a later attempt uses the result.
    Otherwise a slow database could never be reached again.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._opened_at = 0.0
        self._opening: asyncio.Task[asyncpg.Connection] | None = None

    async def fetch_row(self, query: str) -> asyncpg.Record | None:
        """Return the first row of the result of a query."""
        connection = await self._get_connection()
        try:
            return await connection.fetchrow(f"{query}{_trace_comment()}")
        except BaseException:
            self._drop()
            raise

    async def _get_connection(self) -> asyncpg.Connection:
        """Return the connection. An old one is used until its replacement opened or failed."""
        now = asyncio.get_running_loop().time()
        expired = self._connection is None or now - self._opened_at > MAX_AGE
        if expired and self._opening is None:
            self._opening = asyncio.create_task(self._connect(CONNECT_TIMEOUT))
            ignore_exception(self._opening)
        if self._opening is not None and (self._connection is None or self._opening.done()):
            await asyncio.wait({self._opening})  # cancelling this does not cancel the task
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
        """Drop the connection at once, without a message to a server that may not respond."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _trace_comment() -> str:
    """Return a comment that shows the current trace in the server's log and statistics.

    The format is that of the SQLCommenter specification. It contains only hexadecimal digits.
    """
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f" /*traceparent='00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}'*/"
