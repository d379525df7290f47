"""The sentinels, each asked on a connection of its own and heard in bounded time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Connection
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisError, ResponseError

TIMEOUT = 0.25
"""Seconds in which a sentinel answers or is lost: half of what an attempt of a check may take."""

Address = tuple[str, int]


class Layer(StrEnum):
    """How far one came with a sentinel."""

    TCP = "TCP"
    AUTH = "AUTH"
    PING = "PING"


@dataclass(frozen=True)
class Lost:
    """A sentinel did not answer: where it ended, and why."""

    layer: Layer
    error: Exception

    @property
    def refuses_password(self) -> bool:
        """Whether it answered, and wanted another password."""
        return isinstance(self.error, AuthenticationError)

    def __str__(self) -> str:
        return f"{self.layer}: {type(self.error).__name__}"


@dataclass(frozen=True)
class View:
    """What one sentinel says of a primary.

    primary: where it is, None if the sentinel watches none of that name.
    quorum: whether enough sentinels see each other to replace it, as `SENTINEL CKQUORUM` says.
    failing_over: whether this sentinel is replacing it.
    """

    primary: Address | None
    quorum: bool
    failing_over: bool

    def __str__(self) -> str:
        if self.primary is None:
            return "watches no such primary"
        return "ok" if self.quorum else "sees no quorum"


@dataclass(frozen=True)
class Node:
    """One sentinel. name: by its place in the settings, since responses show no addresses."""

    name: str
    address: Address
    password: str | None

    async def primary(self, master: str) -> Address | Lost | None:
        """Return where the primary of that name is, None if the sentinel watches none."""
        replies = await self._ask(f"SENTINEL GET-MASTER-ADDR-BY-NAME {master}")
        return replies if isinstance(replies, Lost) else _address(replies[0])

    async def view(self, master: str) -> View | Lost:
        """Return all that the sentinel says of the primary of that name."""
        replies = await self._ask(
            f"SENTINEL GET-MASTER-ADDR-BY-NAME {master}",
            f"SENTINEL CKQUORUM {master}",
            f"SENTINEL MASTER {master}",
        )
        if isinstance(replies, Lost):
            return replies
        primary, quorum, state = replies
        return View(
            primary=_address(primary),
            quorum=isinstance(quorum, bytes),
            failing_over=isinstance(state, list) and b"failover_in_progress" in b",".join(state),
        )

    async def _ask(self, *commands: str) -> list[Any] | Lost:
        """Connect, log in, PING, and return the replies; a command that is refused has an error."""
        layer = Layer.TCP

        async def log_in(connection: Connection) -> None:
            nonlocal layer
            layer = Layer.AUTH
            await connection.on_connect()
            layer = Layer.PING

        host, port = self.address
        connection = Connection(
            host=host,
            port=port,
            password=self.password,
            protocol=2,
            driver_info=None,
            redis_connect_func=log_in,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]
                await call(connection, "PING")
                return [await _reply(connection, command) for command in commands]
        except AuthenticationError as error:
            return Lost(Layer.AUTH, error)  # without a password of ours, PING is what it refuses
        except (RedisError, OSError) as error:
            return Lost(layer, error)
        finally:
            await connection.disconnect(nowait=True)


async def call(connection: Connection, command: str) -> Any:
    """Return the reply to a command. Raises ResponseError if it is refused."""
    await connection.send_command(*command.split())
    return await connection.read_response()


async def _reply(connection: Connection, command: str) -> Any:
    try:
        return await call(connection, command)
    except ResponseError as error:
        return error


def _address(reply: Any) -> Address | None:
    match reply:
        case [bytes(host), bytes(port)]:
            return host.decode(), int(port)
    return None


async def find_primary(nodes: Sequence[Node], master: str) -> Address:
    """Ask all at once, and return what most of them say as soon as that is certain.

    So one that is frozen delays nobody, and one that was cut off from the others misleads nobody.
    Raises MasterNotFoundError.
    """
    asked = [asyncio.create_task(node.primary(master)) for node in nodes]
    named: Counter[Address] = Counter()
    try:
        for answer in asyncio.as_completed(asked):
            primary = await answer
            if isinstance(primary, tuple):
                named[primary] += 1
                if 2 * named[primary] > len(nodes):
                    return primary
    finally:
        for task in asked:
            task.cancel()
    if not named:
        raise MasterNotFoundError("no sentinel knows the primary")
    [(primary, _)] = named.most_common(1)
    return primary
