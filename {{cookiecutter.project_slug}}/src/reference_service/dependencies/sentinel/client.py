"""The client of Redis Sentinel: it routes the Redis clients to the current primary."""

import asyncio
from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr
from redis import exceptions
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff

from ...environment import SettingsError
from ...health import Check
from .. import Dependency, FailureCallback
from ..certificates import Expiries, watch
from ..redis import Redis
from ..redis.client import POOL_OPTIONS, PROTOCOL, SOCKET_TIMEOUT
from ..redis.credentials import use_latest_credentials
from ..redis.tls import RenewedConnection
from .checks import SentinelGroup
from .nodes import Node, find_primary, send_command
from .security import connection_options, create_tls, reject_unused
from .settings import Address, SentinelSettings, parse_addresses

CHECK_ATTRIBUTES = {"db.system.name": "redis", "db.operation.name": "SENTINEL"}


def route_through_sentinel(redis: Redis, settings: SentinelSettings) -> "list[Sentinel]":
    """Route the clients of `redis` to the primary, and return the sentinels, if any are set.

    Raises SettingsError if neither REDIS_SENTINELS nor REDIS_URL is set, or if a password or TLS is
    set for sentinels that are not.
    """
    if settings.sentinels:
        sentinel = Sentinel(settings, redis.settings.url)
        sentinel.route_clients(redis.client, redis.check_client)
        redis.allow_replica = False
        redis.find_server = sentinel.find_primary
        sentinel.optional = redis.optional
        return [sentinel]
    reject_unused(settings)
    if "url" not in redis.settings.model_fields_set:
        sentence = "REDIS_SENTINELS: not set, and neither is REDIS_URL. Set one of them."
        raise SettingsError([sentence])
    return []


class RenewedSentinelConnection(SentinelManagedConnection, RenewedConnection):
    """A connection to the primary with TLS."""


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary. A command waits while all of them are in use."""


class Sentinel(Dependency):
    """The sentinels that monitor one primary.

    url: the credentials, the database and the TLS of that primary. The host in it is ignored.

    Raises SettingsError if the settings of TLS cannot be used.
    """

    def __init__(self, settings: SentinelSettings, url: SecretStr) -> None:
        self._tls = create_tls(settings)
        node_options = connection_options(settings)
        self._nodes = [
            Node(f"sentinel-{number}", address, node_options)
            for number, address in enumerate(parse_addresses(settings.sentinels), 1)
        ]
        self._master, self._strict = settings.sentinel_master, settings.sentinel_strict
        text = url.get_secret_value()
        self._options: dict[str, Any] = {"protocol": PROTOCOL, **parse_url(text)}
        use_latest_credentials(self._options, url)
        for name in ("host", "port", "path"):
            self._options.pop(name, None)
        encrypted = text.startswith("rediss:")
        connection = RenewedSentinelConnection if encrypted else SentinelManagedConnection
        self._options["connection_class"] = connection
        self._pools: list[Any] = []  # redis-py has no types for them
        self._ping_pool = self._create_pool(retries=0)
        self._on_failure: FailureCallback = lambda _: None
        self._search: asyncio.Task[Address] | None = None

    def route_clients(self, client: Client, check_client: Client) -> None:
        """Make a Redis client, and the client of its check, connect to the current primary.

        Neither may have connected before. A failover closes their connections.
        """
        options = {"socket_timeout": SOCKET_TIMEOUT, **POOL_OPTIONS}
        client.connection_pool = self._create_pool(retries=1, **options)
        # No retries, because the health engine retries.
        check_client.connection_pool = self._create_pool(retries=0, max_connections=1)

    def _create_pool(self, *, retries: int, **options: Any) -> Any:
        options |= {"retry": Retry(NoBackoff(), retries), **self._options}
        pool = SentinelPool(self._master, self, **options)  # type: ignore[no-untyped-call]
        self._pools.append(pool)
        return pool

    async def discover_master(self, _: str) -> Address:
        """Return the address of the primary. redis-py's pools call this for each new connection."""
        return await self.find_primary()

    async def find_primary(self) -> Address:
        """Return the address of the primary.

        Concurrent calls share one search, so that many requests ask each sentinel once.
        """
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(find_primary(self._nodes, self._master))
        return await asyncio.shield(self._search)

    def checks(self) -> Iterable[Check]:
        functions = self._ping, self._disconnect
        group = SentinelGroup(self._nodes, self._master, *functions, strict=self._strict)
        check = Check("redis.sentinel", group.check, attributes=CHECK_ATTRIBUTES)
        yield watch(check, self._inspect) if self._tls else check

    async def _inspect(self, failed: bool) -> Expiries:
        addresses = [node.address for node in self._nodes]
        return await self._tls.inspect(addresses, failed=failed) if self._tls else {}

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` with the name of the check of Redis after a failover."""
        self._on_failure = callback

    async def close(self) -> None:
        """Stop searching. The connections belong to the Redis clients."""
        if self._search:
            self._search.cancel()

    async def _ping(self, address: Address) -> None:
        """Send a PING to a primary. Raises RedisError or OSError if it does not respond."""
        connection = self._ping_pool.make_connection()
        try:
            await connection.connect_to(address)
            await send_command(connection, "PING")
        except exceptions.AuthenticationError:
            pass  # the primary responds, and the check `redis` reports wrong passwords
        finally:
            await connection.disconnect(nowait=True)

    async def _disconnect(self) -> None:
        """Close the connections to a former primary, which loses all writes of some seconds."""
        for pool in self._pools:
            await pool.update_active_connections_for_reconnect()
            await pool.disconnect(inuse_connections=False)
        self._on_failure("redis")
