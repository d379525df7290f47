"""Settings of the Redis server."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS, parse_url

from ...environment import split_url
from .tls import require_context

# Redis-py takes any parameter of its classes from a URL, as text. These can be text.
TEXTS = {"client_name", "host", "lib_name", "lib_version", "password", "path", "port", "username"}
ZERO = {"db", "health_check_interval", "max_connections"}  # numbers that can be 0


def _require_redis_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("not the URL of a Redis server")
    url = split_url(text)
    if url.scheme != "unix" and not url.path.strip("/").isdecimal() and url.path.strip("/"):
        raise ValueError("the database is not a number")
    if "," in url.netloc.rpartition("@")[2]:
        raise ValueError("several hosts")
    if url.scheme == "unix" and url.netloc.rpartition("@")[2]:
        raise ValueError("the path of the socket does not begin with /")
    if url.scheme != "rediss" and "&ssl_" in f"&{url.query}":
        raise ValueError("the parameters ssl_… have no effect: write rediss:// for TLS")
    try:
        _require_url_parameters(parse_url(text))
        connection = ConnectionPool.from_url(text).make_connection()  # type: ignore[no-untyped-call]
    except Exception:  # whatever it is: its message can contain a value
        raise ValueError("redis-py does not know a parameter behind `?`, or its value") from None
    require_context(connection)
    return secret if text == secret.get_secret_value() else SecretStr(text)


def _require_url_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for what only code can set, and for numbers that make no sense."""
    for name, value in parameters.items():
        known = name in URL_QUERY_ARGUMENT_PARSERS or name in TEXTS or name.startswith("ssl_")
        if isinstance(value, str) and not known:
            raise ValueError(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not (value > 0 or (value == 0 and name in ZERO)):
            raise ValueError(name)


class RedisSettings(BaseSettings):
    """The Redis server to connect to."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_require_redis_url)] = Field(
        SecretStr("redis://"),  # feature: sentinel
        description="URL of the Redis server, as redis://user:password@host:port/database. With"
        " rediss:// the connections use TLS.",
    )
