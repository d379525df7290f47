"""The client of Redis: one for requests, and one for the health check."""

from collections.abc import Iterable

from redis import exceptions
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...health import Check
from .. import Dependency
from .checks import server_check
from .settings import RedisSettings

SOCKET_TIMEOUT = 1.0  # seconds without data after which a command of a request fails


class Redis(Dependency):
    """A Redis-compatible server.

    client: for requests.
    check_client: for the check, which never waits until a request returns a connection.
    allow_replica: whether the server may be a replica, which can only be read.
    """

    unavailable_errors = (exceptions.ConnectionError, exceptions.TimeoutError)

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        url = settings.url.get_secret_value()
        retry_once = Retry(NoBackoff(), 1)
        self.client = Client.from_url(url, socket_timeout=SOCKET_TIMEOUT, retry=retry_once)
        # No retries, because the health engine retries.
        self.check_client = Client.from_url(url, max_connections=1, retry=Retry(NoBackoff(), 0))
        self.allow_replica = True

    def checks(self) -> Iterable[Check]:
        yield server_check(self.check_client, allow_replica=self.allow_replica)

    async def close(self) -> None:
        await self.check_client.aclose()
        await self.client.aclose()
