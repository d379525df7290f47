"""Requests to whichever broker responds first, on connections that only the check uses."""

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

NEXT_BROKER_DELAY = 0.1
"""Seconds before the next broker is asked too, so that an unresponsive one delays no attempt."""

CONNECT_TIMEOUT = 5.0
"""Maximum seconds to open a connection, and again to negotiate the protocol on it."""


class Brokers:
    """Several brokers. The connection to the one that responded last stays open.

    servers: addresses as host:port.
    options: further options of `aiokafka.conn.create_conn`.
    """

    def __init__(self, servers: Sequence[str], **options: Any) -> None:
        hosts = collect_hosts(servers, randomize=False)
        self._brokers = [_Broker(host, port, options) for host, port, _ in hosts]

    async def fetch_metadata(self, request: MetadataRequest) -> dict[str, Any]:
        """Return the first response. If every broker fails, raise the first broker's error.

        Each broker is asked `NEXT_BROKER_DELAY` after the one before it, or when that one failed.
        Brokers with an open connection come first. No response comes from a cache.
        """
        remaining = sorted(self._brokers, key=lambda broker: broker.connection is None)
        pending: dict[asyncio.Task[dict[str, Any]], _Broker] = {}
        errors: list[BaseException] = []
        try:
            while remaining or pending:
                if remaining:
                    broker = remaining.pop(0)
                    pending[_start(broker.fetch_metadata(request))] = broker
                done, _ = await asyncio.wait(
                    pending,
                    timeout=NEXT_BROKER_DELAY if remaining else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    broker = pending.pop(task)
                    if not (error := task.exception()):
                        self._close_all_except(broker)
                        return task.result()
                    errors.append(error)
        finally:
            for task in pending:
                task.cancel()
        raise errors[0]

    def close(self) -> None:
        """Close every connection."""
        self._close_all_except(None)

    def _close_all_except(self, kept: "_Broker | None") -> None:
        for broker in self._brokers:
            if broker is not kept:
                broker.close()


class _Broker:
    """One broker and the connection to it."""

    def __init__(self, host: str, port: int, options: dict[str, Any]) -> None:
        self._address = (host, port)
        self._options = {"request_timeout_ms": int(CONNECT_TIMEOUT * 1000), **options}
        self._connecting: asyncio.Task[AIOKafkaConnection] | None = None
        self._unanswered = 0

    @property
    def connection(self) -> AIOKafkaConnection | None:
        """The connection, if it is open."""
        task = self._connecting
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result() if task.result().connected() else None

    async def fetch_metadata(self, request: MetadataRequest) -> dict[str, Any]:
        """Return the broker's response.

        When this is cancelled, the connection stays open for the next attempt, because opening it
        can take as long as an attempt. After two attempts without a response it is closed.
        """
        connection = await self._connect()
        self._unanswered += 1
        try:
            response = await connection.send(request)
        except BaseException as error:
            if self._unanswered > 1 or isinstance(error, Exception):
                self.close()
            raise
        self._unanswered = 0
        return dict(response.to_object())

    async def _connect(self) -> AIOKafkaConnection:
        """Return the connection. When this is cancelled, opening continues for the next attempt."""
        task = self._connecting
        if task is None or (task.done() and self.connection is None):
            self._unanswered = 0
            task = self._connecting = _start(create_conn(*self._address, **self._options))
        await asyncio.wait({task})
        return task.result()

    def close(self) -> None:
        """Close the connection, or stop opening it."""
        if self.connection is not None:
            self.connection.close()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._connecting = None


def _start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task. asyncio does not warn if nothing retrieves its exception."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
