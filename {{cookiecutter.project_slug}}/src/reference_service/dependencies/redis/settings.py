"""Settings of the Redis server."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS, parse_url

from ...environment import split_url
from .tls import require_context

# redis-py passes any parameter of a URL on to its classes, as text. Those below can be text.
KNOWN = {"client_name", "connection_class", "host", "lib_name", "lib_version", "password", "path"}
KNOWN |= {"port", "username", *URL_QUERY_ARGUMENT_PARSERS}


def _require_redis_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("not the URL of a Redis server")
    url = split_url(text)
    if url.scheme != "unix" and not url.path.strip("/").isdecimal() and url.path.strip("/"):
        raise ValueError("the database is not a number")
    hosts = url.netloc.rpartition("@")[2]
    if "," in hosts or (hosts and url.scheme == "unix"):
        raise ValueError("several hosts, or the path of a socket that does not begin with /")
    if url.scheme != "rediss" and "&ssl_" in f"&{url.query}":
        raise ValueError("the parameters ssl_… have no effect: write rediss:// for TLS")
    try:
        known = all(name in KNOWN or name.startswith("ssl_") for name in parse_url(text))
        connection = ConnectionPool.from_url(text).make_connection()  # type: ignore[no-untyped-call]
    except Exception:  # whatever it is: its message can contain a value
        known = False
    if not known:
        raise ValueError("redis-py does not know a parameter behind `?`, or its value")
    require_context(connection)
    return secret if text == secret.get_secret_value() else SecretStr(text)


class RedisSettings(BaseSettings):
    """The Redis server to connect to."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: Annotated[SecretStr, AfterValidator(_require_redis_url)] = Field(
        SecretStr("redis://"),  # feature: sentinel
        description="URL of the Redis server, as redis://user:password@host:port/database. With"
        " rediss:// the connections use TLS.",
    )
