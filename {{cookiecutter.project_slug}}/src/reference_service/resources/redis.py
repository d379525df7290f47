"""Redis: a client for requests, one for the health check, and what the check proves."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import exceptions
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..health import Check, CheckFailed, CheckResult
from . import Suspect

PERMANENT = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.NoPermissionError,
    exceptions.InvalidResponse,
)

MAX_IO_AGE = 15
"""Seconds since a replica last heard of its primary, which pings it every 10 s."""

WRITE_PROBE = "reference-service:health"
"""The key that the check writes; it expires after a minute."""


class LinkDown(CheckFailed):
    """The replica has lost its primary: what it answers is old."""


class TooFewReplicas(CheckFailed):
    """The primary takes no writes, by its `min-replicas-to-write`."""


def _is_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        message = "not the URL of a Redis server"
        raise ValueError(message)
    return url


class RedisSettings(BaseSettings):
    """Where Redis is."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_is_url)] = Field(
        description="Redis to use, as redis://user:password@host:port/database."
    )


class Redis:
    """The Redis-compatible server."""

    unavailable = (exceptions.ConnectionError, exceptions.TimeoutError)

    def __init__(self, settings: RedisSettings) -> None:
        url = settings.url.get_secret_value()
        self.client = Client.from_url(url, socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
        self._probe = Client.from_url(url, max_connections=1, retry=Retry(NoBackoff(), 0))

    def checks(self) -> Iterable[Check]:
        """Return the check of the server, by the role that it says it has."""
        yield Check("redis", self._check, permanent=PERMANENT)

    def watch(self, suspect: Suspect) -> None:
        """Nothing to watch: a request that fails by Redis is answered 503, which is evidence."""

    async def close(self) -> None:
        """Close every connection."""
        await self._probe.aclose()
        await self.client.aclose()

    async def _check(self) -> CheckResult:
        """Pass when a primary takes a write, or a replica follows its primary: PING proves neither.

        `master_link_status` stays up for a minute after a primary froze; its last I/O does not.
        """
        await self._probe.ping()
        info = await self._probe.info("replication")
        if info["role"] == "slave":
            seen = {
                "role": "replica",
                "link": info["master_link_status"],
                "last_io": info["master_last_io_seconds_ago"],
            }
            if seen["link"] != "up" or not 0 <= seen["last_io"] <= MAX_IO_AGE:
                raise LinkDown("the replica has lost its primary", **seen)
            return CheckResult(data=seen)
        seen = {"role": "primary", "replicas": info["connected_slaves"]}
        try:
            await self._probe.set(WRITE_PROBE, "1", ex=60)  # OOM and READONLY speak for themselves
        except exceptions.ResponseError as error:
            if str(error).startswith("NOREPLICAS"):
                raise TooFewReplicas("the primary refuses writes", **seen) from error
            raise
        return CheckResult(data=seen)
