"""TLS to Redis, with the parameters that redis-py knows behind `?` in the URL."""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import parse_qsl

from redis.asyncio import ConnectionPool, SSLConnection

from ..certificates import Expiries, Tls

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path")


def require_files(query: str, *, encrypted: bool) -> None:
    """Raise ValueError if what stands behind `?` cannot be used for TLS."""
    parameters: Mapping[str, str] = dict(parse_qsl(query))
    if not encrypted and any(name.startswith("ssl_") for name in parameters):
        raise ValueError("the parameters ssl_… have no effect: write rediss:// for TLS")
    for name in FILES:
        if name in parameters and not os.access(parameters[name], os.R_OK):
            raise ValueError(f"the file of {name} cannot be read")
    if "ssl_keyfile" in parameters and "ssl_certfile" not in parameters:
        raise ValueError("ssl_keyfile has no effect without ssl_certfile")


def require_context(connection: object) -> None:
    """Raise ValueError if the files of a connection are not what they should be."""
    try:
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except (OSError, ssl.SSLError):
        raise ValueError("a file of ssl_… has no PEM certificate, or not its key") from None


async def inspect(
    pool: ConnectionPool, server: tuple[str, int] | None, *, failed: bool
) -> Expiries:
    """Make a handshake as the connections of a pool do, and return when certificates expire.

    server: None: the one in the URL. Raises OSError, or what makes connections fail.
    """
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    if not isinstance(connection, SSLConnection):
        return {}
    tls = Tls(connection.ssl_context.get(), connection.certfile)
    return await tls.inspect([server or (connection.host, connection.port)], failed=failed)
