"""Redis Sentinel: leads the Redis clients to the primary, wherever it is, and is checked itself."""

import asyncio
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import exceptions
from redis.asyncio import Redis as Client
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from ...health import Check
from .. import FailureCallback
from .checks import Group
from .nodes import Address, Node, call, find_primary

PORT = 26379
"""A sentinel's, where none is given."""

ADDRESS = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?", re.ASCII)


def addresses(text: str) -> list[Address]:
    """Return the addresses in a list like `a:26379,b`. Raises ValueError."""
    found = []
    for part in text.split(","):
        address = ADDRESS.fullmatch(part.strip())
        port = int(address[2] or PORT) if address else 0
        if not address or not 0 < port < 1 << 16:
            message = "not the addresses of sentinels"
            raise ValueError(message)
        found.append((address[1].strip("[]"), port))
    return list(dict.fromkeys(found))


def _are_addresses(text: str) -> str:
    if text:
        addresses(text)
    return text


class SentinelSettings(BaseSettings):
    """Who knows where Redis is."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    sentinels: Annotated[str, AfterValidator(_are_addresses)] = Field(
        "",
        description="Every sentinel, as host:port,host:port. They are asked where Redis is: "
        "REDIS_URL then only says how to log in there, and need not be set.",
    )
    sentinel_master: str = Field(
        "mymaster", pattern=r"^[\w.-]+$", description="What the sentinels call the primary."
    )
    sentinel_password: SecretStr | None = Field(
        None, description="Password of the sentinels themselves."
    )
    sentinel_strict: bool = Field(
        False, description="Whether one lost sentinel fails, and does not only warn."
    )


class Sentinel:
    """The sentinels that watch one primary.

    url: how to log in to that primary; its host is of no account.
    """

    unavailable_errors: tuple[type[Exception], ...] = ()
    """Nothing of its own: a client that is led nowhere raises what any client raises."""

    def __init__(self, settings: SentinelSettings, url: str) -> None:
        secret = settings.sentinel_password
        password = secret.get_secret_value() if secret else None
        self._nodes = [
            Node(f"sentinel-{number}", address, password)
            for number, address in enumerate(addresses(settings.sentinels), 1)
        ]
        self._master = settings.sentinel_master
        self._strict = settings.sentinel_strict
        self._login: dict[str, Any] = {"ssl": url.startswith("rediss:"), **parse_url(url)}
        for name in ("host", "port", "path", "connection_class"):
            self._login.pop(name, None)
        self._pools: list[Any] = []  # redis-py gives them no types
        self._direct = self._pool()
        self._on_failure: FailureCallback = lambda _: None
        self._search: asyncio.Task[Address] | None = None

    def lead(self, client: Client, probe: Client) -> None:
        """Have a Redis client, and that of its check, connect to the primary of the moment.

        Neither may have connected before. A failover ends their connections, as it does all, and
        the next one leads to the new primary.
        """
        client.connection_pool = self._pool(socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
        probe.connection_pool = self._pool(max_connections=1, retry=Retry(NoBackoff(), 0))

    def _pool(self, **options: Any) -> Any:
        pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            self._master, self, **options | self._login
        )
        self._pools.append(pool)
        return pool

    async def discover_master(self, _: str) -> Address:
        """Return where the primary is. redis-py's pools call this whenever they connect.

        Who asks at the same time shares an answer: a crowd of requests asks each sentinel once.
        """
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(find_primary(self._nodes, self._master))
        return await asyncio.shield(self._search)

    def checks(self) -> Iterable[Check]:
        """Return the check of the sentinels and of the primary that they name."""
        group = Group(self._nodes, self._master, ping=self._ping, moved=self._leave)
        yield group.check(strict=self._strict)

    def on_failure(self, callback: FailureCallback) -> None:
        """FailureCallback Redis when its primary has moved."""
        self._on_failure = callback

    async def close(self) -> None:
        """Nothing stays open: the connections are the Redis clients' own."""
        if self._search:
            self._search.cancel()

    async def _ping(self, address: Address) -> None:
        """Ask a primary itself whether it answers. Raises RedisError or OSError if not."""
        connection = self._direct.make_connection()
        try:
            await connection.connect_to(address)
            await call(connection, "PING")
        except exceptions.AuthenticationError:
            pass  # an answer; passwords are the business of the check `redis`
        finally:
            await connection.disconnect(nowait=True)

    async def _leave(self) -> None:
        """Drop the connections to a former primary, which takes writes in vain for some seconds."""
        for pool in self._pools:
            await pool.update_active_connections_for_reconnect()
            await pool.disconnect(inuse_connections=False)
        self._on_failure("redis")
