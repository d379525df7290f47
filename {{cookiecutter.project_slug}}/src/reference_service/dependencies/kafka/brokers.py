"""Requests to whichever broker responds first, on connections that only the check uses."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from typing import Any

from aiokafka import conn  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from ...health.tasks import ignore_exception

NEXT_BROKER_DELAY = 0.1  # seconds until the next is asked too: a silent one delays no attempt
CONNECT_TIMEOUT = 5.0  # seconds to open a connection, and again to negotiate the protocol on it


class Brokers:
    """Several brokers, as host:port. The connection to the one that responded last stays open.

    options: further options of `aiokafka.conn.create_conn`.
    addresses: the host and the port of each broker.
    """

    def __init__(self, servers: Sequence[str], **options: Any) -> None:
        hosts = conn.collect_hosts(servers, randomize=False)
        options = {"request_timeout_ms": int(CONNECT_TIMEOUT * 1000), **options}
        self.addresses = [(host, port) for host, port, _ in hosts]
        self._brokers = [_Broker(*address, options) for address in self.addresses]

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
                    pending[asyncio.create_task(broker.fetch_metadata(request))] = broker
                delay = NEXT_BROKER_DELAY if remaining else None
                done, _ = await asyncio.wait(pending, timeout=delay, return_when=FIRST_COMPLETED)
                for task in done:
                    broker = pending.pop(task)
                    if not (error := task.exception()):
                        self.close(keep=broker)
                        return task.result()
                    errors.append(error)
        finally:
            for task in pending:
                ignore_exception(task)
                task.cancel()
        raise errors[0]

    def close(self, *, keep: "_Broker | None" = None) -> None:
        """Close every connection, except one that is to be kept."""
        for broker in self._brokers:
            if broker is not keep:
                broker.close()


class _Broker:
    """One broker and the connection to it."""

    def __init__(self, host: str, port: int, options: dict[str, Any]) -> None:
        self._address = (host, port)
        self._options = options
        self._connecting: asyncio.Task[conn.AIOKafkaConnection] | None = None
        self._unanswered = 0

    @property
    def connection(self) -> conn.AIOKafkaConnection | None:
        """The connection, if it is open."""
        task = self._connecting
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result() if task.result().connected() else None

    async def fetch_metadata(self, request: MetadataRequest) -> dict[str, Any]:
        """Return the broker's response.

        If this is cancelled, the connection stays open for the next attempt, because opening it
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

    async def _connect(self) -> conn.AIOKafkaConnection:
        """Return the connection. When this is cancelled, opening continues for the next attempt."""
        task = self._connecting
        if task is None or (task.done() and self.connection is None):
            self._unanswered = 0
            task = asyncio.create_task(conn.create_conn(*self._address, **self._options))
            ignore_exception(task)
            self._connecting = task
        await asyncio.wait({task})
        return task.result()

    def close(self) -> None:
        """Close the connection, or stop opening it."""
        if self.connection is not None:
            self.connection.close()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._connecting = None
