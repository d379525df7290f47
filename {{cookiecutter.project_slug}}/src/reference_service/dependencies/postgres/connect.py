"""Open a connection: host by host, and so that the kernel notices when the other end is gone."""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]

from .errors import CONNECT_ERRORS
from .settings import PostgresSettings

# When the other end no longer responds, the kernel closes the connection after about 15 seconds,
# in which it is idle or waits for an acknowledgment. Linux has all of these options.
SOCKET_OPTIONS = {
    "TCP_KEEPIDLE": 5,  # seconds until the first probe of an idle connection
    "TCP_KEEPINTVL": 5,  # seconds between probes
    "TCP_KEEPCNT": 2,  # unanswered probes
    "TCP_USER_TIMEOUT": 15_000,  # milliseconds until sent data must be acknowledged
}
DEFAULT_PORT = 5432
SESSION = {"primary": "read-write", "standby": "standby"}  # libpq's target_session_attrs

Address = tuple[str, int] | None
"""A host and a port. None: what the URL or libpq's variables say."""


class Connector:
    """Opens connections to the database of the settings.

    asyncpg's own timeout covers all hosts of a URL together, so a host that does not respond hides
    the others. Here each host gets a share of the time, and the one that worked last comes first.
    Of several hosts only one in the right role is used.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._addresses = addresses(settings.url.get_secret_value())

    async def connect(self, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109 - asyncpg's
        """Open a connection within `timeout` seconds.

        Raises the error of the last host: OSError, which includes TimeoutError, or asyncpg's.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        candidates = list(self._addresses)
        while True:
            address = candidates.pop(0)
            share = (deadline - loop.time()) / (len(candidates) + 1)
            try:
                connection = await self._connect_to(address, share)
            except CONNECT_ERRORS:
                if not candidates:
                    raise
            else:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                return connection

    async def _connect_to(self, address: Address, seconds: float) -> asyncpg.Connection:
        options: dict[str, Any] = {"timeout": seconds}
        if address is not None:
            options["host"], options["port"] = address
        if len(self._addresses) > 1 and "target_session_attrs" not in self._url:
            options["target_session_attrs"] = SESSION[self._settings.role]
        if not self._settings.prepared_statements:
            options["statement_cache_size"] = 0
        connection = await asyncpg.connect(self._url, **options)
        _watch_other_end(connection)
        return connection

    @property
    def _url(self) -> str:
        return self._settings.url.get_secret_value()


def addresses(url: str) -> list[Address]:
    """Return the hosts of a URL if it names several, else only None."""
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if len(hosts) == 1:
        return [None]
    parts = [urlsplit(f"//{host}") for host in hosts]
    try:
        return [(part.hostname or "", part.port or DEFAULT_PORT) for part in parts]
    except ValueError:  # its message could show a part of a password
        return [None]


def _watch_other_end(connection: asyncpg.Connection) -> None:
    """Make the kernel close the connection when the other end no longer responds."""
    # asyncpg has no public way to its socket: tested with 0.32.
    endpoint = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if endpoint is not None and endpoint.family != socket.AF_UNIX:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in SOCKET_OPTIONS.items():
            if hasattr(socket, name):
                endpoint.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
