"""Open a connection: host by host, and so that the kernel notices when the other end is gone."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from math import inf
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from ...redaction import hide
from ..certificates import INSPECT_TIMEOUT, Expiries, certificates
from ..tls import REQUIRED, ClientCertificateRequired
from .errors import CONNECT_ERRORS
from .settings import PostgresSettings
from .url import Address, parse_url

log = logging.getLogger(__name__)

SESSION = {"primary": "read-write", "standby": "standby"}  # libpq's target_session_attrs


class Connector:
    """Opens connections to the database of the settings. They can change, if they are in a file.

    asyncpg's own timeout covers all hosts of a URL together, so a host that does not respond hides
    the others. Here each host gets a share of the time, and the one that worked last comes first.
    Of several hosts only one in the right role is used.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._text = settings.url.get_secret_value()
        self._url = parse_url(self._text)
        self._addresses = list(self._url.addresses)
        self._certificate: bytes | None = None  # of the server of the latest connection
        hide(os.environ.get("PGPASSWORD", ""))  # asyncpg uses it if the URL has no password

    async def connect(self, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109 - asyncpg's
        """Open a connection within `timeout` seconds.

        Raises the error of the last host: OSError, which includes TimeoutError, or asyncpg's.
        """
        self._update_url()
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

    def _update_url(self) -> None:
        """Use the URL that the settings have now: if it is in a file, the file can change."""
        text = self._settings.url.get_secret_value()
        if text == self._text:
            return
        self._text = text
        try:
            url = parse_url(text)
        except ValueError as error:
            log.warning("the new DATABASE_URL cannot be used; the previous one is: %s", error)
        else:
            self._url, self._addresses = url, list(url.addresses)

    @property
    def encrypted(self) -> bool:
        """Whether no connection is opened without TLS."""
        return self._url.encrypted

    async def inspect(self, failed: bool) -> Expiries:
        """Return when certificates expire. Raises ClientCertificateRequired, or as `connect` does.

        failed: a connection has failed. The next one can say why, if the server closed that one
            before its reason was read.
        """
        if failed:
            try:
                (await self.connect(INSPECT_TIMEOUT)).terminate()
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                if "client certificate" in str(error):  # PostgreSQL asks for it after the handshake
                    raise ClientCertificateRequired(REQUIRED[1]) from error
                raise
        der, cert_file = self._certificate, self._url.cert_file
        return certificates(der, cert_file) if der else {}

    async def _connect_to(self, address: Address, seconds: float) -> asyncpg.Connection:
        options: dict[str, Any] = {"timeout": min(seconds, self._url.connect_timeout or inf)}
        options["server_settings"] = {"application_name": self._url.application_name}
        if address is not None:
            options["host"], options["port"] = address
        if len(self._addresses) > 1 and not self._url.names_session:
            options["target_session_attrs"] = SESSION[self._settings.role]
        if not self._settings.prepared_statements:
            options["statement_cache_size"] = 0
        if self._url.tls:
            options["ssl"] = self._url.tls.context()
        connection = await asyncpg.connect(self._url.dsn, **options)
        # asyncpg has no public way to its transport: tested with 0.32.
        transport = connection._transport  # noqa: SLF001
        if encryption := transport.get_extra_info("ssl_object"):
            self._certificate = encryption.getpeercert(binary_form=True)
        _watch_other_end(transport.get_extra_info("socket"), self._url.socket_options)
        return connection


def _watch_other_end(endpoint: socket.socket | None, options: Mapping[str, int]) -> None:
    """Make the kernel close the connection when the other end no longer responds."""
    if options and endpoint is not None and endpoint.family != socket.AF_UNIX:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                endpoint.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
