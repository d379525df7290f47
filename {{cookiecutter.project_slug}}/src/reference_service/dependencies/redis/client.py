"""The client of Redis: one for requests, and one for the health check."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, SSLConnection
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...health import Check
from ...traffic import CircuitBreaker
from .. import Dependency, FailureCallback
from ..certificates import Expiries, watch
from .checks import TRY_AGAIN, server_check
from .credentials import use_latest_credentials
from .settings import RedisSettings
from .tls import RenewedConnection, inspect

MAX_CONNECTIONS = 50  # of requests; redis-py's default pool fails at the 101st, and never waits
POOL_TIMEOUT = 1.0  # seconds that a command waits while all of them are in use
SOCKET_TIMEOUT = 1.0  # seconds without data after which a command of a request fails
PROTOCOL = 2  # RESP3 logs in with HELLO, which some servers and proxies do not have
POOL_OPTIONS: dict[str, Any] = {
    "max_connections": MAX_CONNECTIONS,
    "timeout": POOL_TIMEOUT,
    "retry_on_error": [RuntimeError],  # of uvloop, if the other end has reset the connection
}


class Redis(Dependency):
    """A Redis-compatible server.

    client: for requests.
    check_client: for the check, which never waits until a request returns a connection.
    is_down: returns whether the check fails. `circuit_breaker` rejects what cannot do without.
    allow_replica: whether the server may be a replica, which can only be read.
    find_server: returns the address of the server, if it is not the one in the URL.
    """

    unavailable_errors = (exceptions.ConnectionError, *TRY_AGAIN.values())
    timeout_errors = (exceptions.TimeoutError,)

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        url = settings.url.get_secret_value()
        options = {"socket_timeout": SOCKET_TIMEOUT, "retry": Retry(NoBackoff(), 1)}
        pool = BlockingConnectionPool.from_url(url, protocol=PROTOCOL, **POOL_OPTIONS, **options)
        self.client = Client.from_pool(pool)
        # No retries, because the health engine retries.
        retry = Retry(NoBackoff(), 0)
        self.check_client = Client.from_url(url, protocol=PROTOCOL, max_connections=1, retry=retry)
        for client in (self.client, self.check_client):
            use_latest_credentials(client.connection_pool.connection_kwargs, settings.url)
            if client.connection_pool.connection_class is SSLConnection:
                client.connection_pool.connection_class = RenewedConnection
        self.allow_replica = True
        self.find_server: Callable[[], Awaitable[tuple[str, int]]] | None = None
        self.circuit_breaker = CircuitBreaker("redis")
        self.is_down = self.circuit_breaker.is_open
        self._on_failure: FailureCallback = lambda _: None

    def checks(self) -> Iterable[Check]:
        check = server_check(self.check_client, allow_replica=self.allow_replica)
        encrypted = self.settings.url.get_secret_value().startswith("rediss:")
        yield watch(check, self._inspect) if encrypted else check

    async def _inspect(self, failed: bool) -> Expiries:
        server = await self.find_server() if self.find_server else None
        return await inspect(self.check_client.connection_pool, server, failed=failed)

    def circuit_breakers(self) -> Iterable[CircuitBreaker]:
        yield self.circuit_breaker

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` when a request goes on without Redis."""
        self._on_failure = callback

    def report_failure(self) -> None:
        """Bring the check forward: a request has met a failure, and does not show it."""
        self._on_failure("redis")

    async def close(self) -> None:
        await self.check_client.aclose()
        await self.client.aclose()
