"""Settings of the Redis server."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _require_redis_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("not the URL of a Redis server")
    return url


class RedisSettings(BaseSettings):
    """The Redis server to connect to."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_require_redis_url)] = Field(
        SecretStr("redis://"),  # feature: sentinel
        description="URL of the Redis server, as redis://user:password@host:port/database.",
    )
