"""The sentinels, each asked on a connection of its own within a bounded time."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from redis.asyncio import Connection
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from ..tls import explain
from .settings import Address

TIMEOUT = 0.25  # seconds after which a silent sentinel is down: half of an attempt's timeout


@dataclass(frozen=True)
class NodeDown:
    """A sentinel that did not respond, or rejected the password. stage: at which it failed."""

    stage: Literal["TCP", "AUTH", "PING"]
    error: Exception

    def __str__(self) -> str:
        return f"{self.stage}: {type(explain(self.error) or self.error).__name__}"


@dataclass(frozen=True)
class NodeReport:
    """What one sentinel reports about the primary."""

    primary: Address | None  # None: the sentinel does not monitor a primary of that name
    has_quorum: bool  # enough sentinels reach each other to replace it (`SENTINEL CKQUORUM`)
    failing_over: bool  # this sentinel is replacing it

    def __str__(self) -> str:
        if self.primary is None:
            return "primary not monitored"
        return "ok" if self.has_quorum else "no quorum"


@dataclass(frozen=True)
class Node:
    """One sentinel."""

    name: str  # from its position in the settings, because responses must not contain addresses
    address: Address
    options: Mapping[str, Any] = field(hash=False)  # of redis-py, and its `connection_class`

    async def fetch_primary(self, master: str) -> Address | NodeDown | None:
        """Return the address of the primary, or None if the sentinel does not monitor it."""
        replies = await self._send(master, "GET-MASTER-ADDR-BY-NAME")
        return replies if isinstance(replies, NodeDown) else _parse_address(replies[0])

    async def fetch_report(self, master: str) -> NodeReport | NodeDown:
        """Return everything that the sentinel reports about the primary of that name."""
        replies = await self._send(master, "GET-MASTER-ADDR-BY-NAME", "CKQUORUM", "MASTER")
        if isinstance(replies, NodeDown):
            return replies
        primary, quorum, state = replies
        has_quorum = isinstance(quorum, bytes)
        failing_over = isinstance(state, list) and b"failover_in_progress" in b",".join(state)
        return NodeReport(_parse_address(primary), has_quorum, failing_over)

    async def _send(self, master: str, *commands: str) -> list[Any] | NodeDown:
        """Connect, log in, PING, and return the replies. A failed command's reply is its error."""
        stage: Literal["TCP", "AUTH", "PING"] = "TCP"

        async def log_in(connection: Connection) -> None:
            nonlocal stage
            stage = "AUTH"
            await connection.on_connect()
            stage = "PING"

        host, port = self.address
        options = {**self.options, "redis_connect_func": log_in}
        create = options.pop("connection_class")
        connection = create(host=host, port=port, protocol=2, driver_info=None, **options)
        try:
            async with asyncio.timeout(TIMEOUT):
                await connection.connect()
                await send_command(connection, "PING")
                sent = [f"SENTINEL {command} {master}" for command in commands]
                return [await _reply_or_error(connection, command) for command in sent]
        except AuthenticationError as error:
            # Without a password there is no AUTH, so a sentinel that needs one rejects PING.
            return NodeDown("AUTH", error)
        except (RedisError, OSError) as error:
            return NodeDown(stage, error)
        finally:
            await connection.disconnect(nowait=True)


async def find_primary(nodes: Sequence[Node], master: str) -> Address:
    """Ask all sentinels at once and return the majority's answer as soon as it is certain.

    So a frozen sentinel delays no client, and an isolated one misleads no client.
    Raises MasterNotFoundError if no sentinel knows the primary.
    """
    tasks = [asyncio.create_task(node.fetch_primary(master)) for node in nodes]
    votes: Counter[Address] = Counter()
    try:
        for task in asyncio.as_completed(tasks):
            primary = await task
            if isinstance(primary, tuple):
                votes[primary] += 1
                if 2 * votes[primary] > len(nodes):
                    return primary
    finally:
        for pending in tasks:
            pending.cancel()
    if not votes:
        raise MasterNotFoundError("no sentinel knows the primary")
    [(primary, _)] = votes.most_common(1)
    return primary


async def send_command(connection: Connection, command: str) -> Any:
    """Return the reply to a command. Raises ResponseError if the server rejects it."""
    await connection.send_command(*command.split())
    return await connection.read_response()


async def _reply_or_error(connection: Connection, command: str) -> Any:
    try:
        return await send_command(connection, command)
    except ResponseError as error:
        return error


def _parse_address(reply: Any) -> Address | None:
    match reply:
        case [bytes(host), bytes(port)]:
            return host.decode(), int(port)
    return None
