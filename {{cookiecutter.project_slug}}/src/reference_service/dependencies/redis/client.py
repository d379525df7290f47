"""Redis: a client for requests, and one for the health check."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import exceptions
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...health import Check
from .. import FailureCallback
from .checks import server_check


def _is_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        message = "not the URL of a Redis server"
        raise ValueError(message)
    return url


class RedisSettings(BaseSettings):
    """Where Redis is."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_is_url)] = Field(
        SecretStr("redis://"),  # feature: sentinel
        description="Redis to use, as redis://user:password@host:port/database.",
    )


class Redis:
    """The Redis-compatible server.

    client: for requests. probe: for the check, which never waits for a request's connection.
    allow_replica: whether the server may be a replica, which can only be read.
    """

    unavailable_errors = (exceptions.ConnectionError, exceptions.TimeoutError)

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        url = settings.url.get_secret_value()
        self.client = Client.from_url(url, socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
        self.probe = Client.from_url(url, max_connections=1, retry=Retry(NoBackoff(), 0))
        self.allow_replica = True

    def checks(self) -> Iterable[Check]:
        """Return the check of the server, by the role that it says it has."""
        yield server_check(self.probe, allow_replica=self.allow_replica)

    def on_failure(self, callback: FailureCallback) -> None:
        """Nothing to watch: a request that fails by Redis is answered 503, which is evidence."""

    async def close(self) -> None:
        """Close every connection."""
        await self.probe.aclose()
        await self.client.aclose()
