"""Asks whichever broker answers first, on connections of the checks' own, and never a cache."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from aiokafka.conn import (  # type: ignore[import-untyped]
    AIOKafkaConnection,
    collect_hosts,
    create_conn,
)
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

T = TypeVar("T")

HEAD_START = 0.1
"""Seconds that a broker has to answer before another is asked too: a dead one holds up none."""

CONNECT_TIMEOUT = 5.0
"""Seconds that a broker has to accept a connection, and then to greet."""


class Brokers:
    """Some brokers. The connection to the one that answered last stays open.

    servers: as host:port. options: what else a connection needs, in aiokafka's words.
    """

    def __init__(self, servers: Sequence[str], **options: Any) -> None:
        hosts = collect_hosts(servers, randomize=False)
        self._lines = [_Line(host, port, options) for host, port, _ in hosts]

    async def ask(self, request: MetadataRequest) -> dict[str, Any]:
        """Return the first answer that comes, or raise what the first broker raised if all fail.

        Each broker is asked a little after the one before it, or once that one has failed; those
        with an open connection come first.
        """
        left = sorted(self._lines, key=lambda line: line.connection is None)
        asked: dict[asyncio.Task[dict[str, Any]], _Line] = {}
        faults: list[BaseException] = []
        try:
            while left or asked:
                if left:
                    line = left.pop(0)
                    asked[_start(line.ask(request))] = line
                done, _ = await asyncio.wait(
                    asked,
                    timeout=HEAD_START if left else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    line = asked.pop(task)
                    if not (fault := task.exception()):
                        self._keep_only(line)
                        return task.result()
                    faults.append(fault)
        finally:
            for task in asked:
                task.cancel()
        raise faults[0]

    def close(self) -> None:
        """Close every connection."""
        self._keep_only(None)

    def _keep_only(self, kept: "_Line | None") -> None:
        for line in self._lines:
            if line is not kept:
                line.hang_up()


class _Line:
    """The connection to one broker."""

    def __init__(self, host: str, port: int, options: dict[str, Any]) -> None:
        self._address = (host, port)
        self._options = {"request_timeout_ms": int(CONNECT_TIMEOUT * 1000), **options}
        self._connecting: asyncio.Task[AIOKafkaConnection] | None = None
        self._unanswered = 0

    @property
    def connection(self) -> AIOKafkaConnection | None:
        """The connection, if it can be used at once."""
        task = self._connecting
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result() if task.result().connected() else None

    async def ask(self, request: MetadataRequest) -> dict[str, Any]:
        """Return the broker's answer.

        Cancelled, it leaves the connection to the next attempt, since the greetings alone may cost
        one attempt its time. A connection that has cost two attempts theirs is given up.
        """
        connection = await self._connect()
        self._unanswered += 1
        try:
            answer = await connection.send(request)
        except BaseException as error:
            if self._unanswered > 1 or isinstance(error, Exception):
                self.hang_up()
            raise
        self._unanswered = 0
        return dict(answer.to_object())

    async def _connect(self) -> AIOKafkaConnection:
        """Return the connection; cancelled, leave it to the next attempt to wait for it."""
        task = self._connecting
        if task is None or (task.done() and self.connection is None):
            self._unanswered = 0
            task = self._connecting = _start(create_conn(*self._address, **self._options))
        await asyncio.wait({task})
        return task.result()

    def hang_up(self) -> None:
        """Close the connection, or give up connecting."""
        if self.connection is not None:
            self.connection.close()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._connecting = None


def _start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task whose failure may go unnoticed."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
