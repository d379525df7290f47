"""A connection of the health checks, which no request uses."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
from opentelemetry import trace

from ...health.tasks import ignore_exception

T = TypeVar("T")

MAX_AGE = 60.0  # seconds until the connection is replaced: an old one works with an old password
CONNECT_TIMEOUT = 2.0  # seconds to open a connection: several round trips, where a query takes one
CLOSE_TIMEOUT = 1.0  # seconds in which a connection is closed, with a query that it may still run
REOPEN_DELAY = 10.0  # seconds until a replacement that could not be opened is tried again
HUNG_AFTER = 0.5  # seconds after which a query that another check waits for counts as hung
MAX_PATIENCE = 30.0  # seconds in which a hung query is not replaced again

# Opens a connection within the given number of seconds.
Connect = Callable[[float], Coroutine[Any, Any, asyncpg.Connection]]


class CheckConnection:
    """One connection that several checks use in turn, opened when it is first used.

    So a busy pool does not look like a failed database, and a check takes no connection from a
    request. Neither an attempt that is abandoned nor a wait for another check closes it: opening a
    connection takes so many round trips that a slow database could never be reached again.

    - A query goes on when its attempt is abandoned. Then it has hung, and so have queries that
      another check waits for: the connection is replaced.
    - The old connection is kept until the new one is open, because the server may accept no more
      connections while the open ones work.
    """

    def __init__(self, connect: Connect) -> None:
        self.replacement_error = ""  # the name of the error, while no new connection can be opened
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._opened_at = 0.0
        self._opening: asyncio.Task[asyncpg.Connection] | None = None
        self._query: asyncio.Task[Any] | None = None
        self._query_started_at = 0.0
        self._must_replace = False
        self._patience = 0.0
        self._next_replacement = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def fetch_row(self, query: str, *arguments: object) -> asyncpg.Record | None:
        """Return the first row of the result of a query."""
        text = f"{query}{_trace_comment()}"
        return await self._run(lambda connection: connection.fetchrow(text, *arguments))

    async def execute(self, statement: str) -> None:
        """Execute a statement without parameters or result. It is not prepared: one round trip."""
        text = f"{statement}{_trace_comment()}"
        await self._run(lambda connection: connection.execute(text))

    @property
    def server_pid(self) -> int | None:
        """The id of the server's process, as the server or a pooler reported it."""
        return self._connection.get_server_pid() if self._connection else None

    def replace(self) -> None:
        """Use a new connection next, if one can be opened. The old one leads to a wrong server."""
        self._must_replace = True

    async def close(self) -> None:
        """Close the connection, and the one that is being opened."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        self._discard()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _run(self, query: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        connection = await self._get_connection()
        running = self._query = asyncio.create_task(query(connection))
        ignore_exception(running)
        self._query_started_at = _now()
        await asyncio.wait({running})  # cancelling this does not cancel the query
        if running.cancelled():
            raise TimeoutError  # it has hung, and another check has replaced the connection
        result: T = running.result()
        self._patience = 0.0
        if self.replacement_error == TimeoutError.__name__ and self._opening is None:
            self._open()  # the server may have been frozen, and the next attempt can tell
        return result

    async def _get_connection(self) -> asyncpg.Connection:
        """Return a connection that runs no query, as soon as there is one."""
        if self._connection is not None and self._connection.is_closed():
            self._discard()
        while True:
            self._adopt()
            if self._opening is None and self._should_open():
                self._open()
            replacing = self._must_replace and self._opening is not None
            if self._connection is not None and not self._is_busy() and not replacing:
                return self._connection
            tasks = {task for task in (self._opening, self._query) if task and not task.done()}
            await asyncio.wait(tasks, timeout=HUNG_AFTER, return_when=asyncio.FIRST_COMPLETED)

    def _open(self) -> None:
        self._opening = asyncio.create_task(self._connect(CONNECT_TIMEOUT))
        ignore_exception(self._opening)

    def _should_open(self) -> bool:
        if self._connection is None:
            return True
        if _now() < self._next_replacement:
            return False
        hung = self._is_busy() and _now() - self._query_started_at >= HUNG_AFTER
        expired = _now() - self._opened_at > MAX_AGE
        return hung or self._must_replace or expired or bool(self.replacement_error)

    def _is_busy(self) -> bool:
        return self._query is not None and not self._query.done()

    def _adopt(self) -> None:
        """Use the connection that was opened. Raises its error if there is no usable one."""
        if self._opening is None or not self._opening.done():
            return
        opening, self._opening = self._opening, None
        busy, old = self._is_busy(), self._connection
        if (error := opening.exception()) is not None:
            self._must_replace = False
            self.replacement_error = type(error).__name__
            self._next_replacement = _now() + REOPEN_DELAY
            if old is None or busy:
                raise error
            return
        expired = bool(self.replacement_error) or _now() - self._opened_at > MAX_AGE
        self.replacement_error = ""
        if old is not None and not (busy or self._must_replace or expired):
            self._close(opening.result())  # the query had not hung
            return
        if busy:  # sessions must not pile up in a server that does not respond
            self._patience = min(2 * self._patience + 1, MAX_PATIENCE)
            self._next_replacement = _now() + self._patience
        self._discard()
        self._must_replace = False
        self._connection, self._opened_at = opening.result(), _now()

    def _discard(self) -> None:
        """Close the connection in the background. The server is asked to cancel a running query.

        Otherwise its session would remain, for example while a commit waits for a standby.
        """
        connection, self._connection = self._connection, None
        query, self._query = self._query, None
        if query is not None:
            query.cancel()
        if connection is not None:
            self._close(connection)

    def _close(self, connection: asyncpg.Connection) -> None:
        closing = asyncio.create_task(connection.close(timeout=CLOSE_TIMEOUT))
        ignore_exception(closing)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _trace_comment() -> str:
    """Return a comment that shows the current trace in the server's log and statistics.

    The format is that of the SQLCommenter specification. It contains only hexadecimal digits.
    """
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f" /*traceparent='00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}'*/"
