"""TLS to Redis, with the parameters that redis-py knows behind `?` in the URL."""

import ssl
from typing import Any

from redis.asyncio import Connection, ConnectionPool, SSLConnection

from ..certificates import Expiries, Tls
from ..tls import file_versions


class RenewedConnection(SSLConnection):
    """Reads its certificates again when it connects again, if their files have changed."""

    _versions: object = None

    def _connection_arguments(self) -> Any:  # private: tested with redis-py 8
        files = self.ssl_context
        versions = file_versions(files.ca_certs, files.certfile, files.keyfile)
        if versions != self._versions:
            self._versions, files.context = versions, None
        return super()._connection_arguments()


def require_context(connection: Connection) -> None:
    """Raise ValueError if the certificates of a connection cannot be used."""
    if not isinstance(connection, SSLConnection):
        return
    if connection.keyfile and not connection.certfile:
        raise ValueError("ssl_keyfile has no effect without ssl_certfile")
    try:
        connection.ssl_context.get()
    except (OSError, ssl.SSLError):
        raise ValueError(
            "a file of ssl_… cannot be read, or has no PEM certificate or key"
        ) from None


async def inspect(
    pool: ConnectionPool, server: tuple[str, int] | None, *, failed: bool
) -> Expiries:
    """Make a handshake as the connections of a pool do, and return when certificates expire.

    server: None: the one in the URL. Raises OSError, or what makes connections fail.
    """
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    tls = Tls(connection.ssl_context.get(), connection.certfile)
    return await tls.inspect([server or (connection.host, connection.port)], failed=failed)
