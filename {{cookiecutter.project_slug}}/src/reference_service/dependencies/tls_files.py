"""TLS from files in PEM format, with one sentence for what is wrong with them."""

import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Self

from ..environment import SettingsError
from .tls import file_versions

log = logging.getLogger(__name__)


class RenewedContext(ssl.SSLContext):
    """A context for clients that reads its files again, for the next connection, if they changed.

    While the new files cannot be used, the previous ones are.
    """

    def __new__(cls, *_: Any) -> Self:
        """Create a context that verifies servers."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self, ca_file: str | None, cert_file: str | None, key_file: str | None, *alpn: str
    ) -> None:
        self._files = ca_file, cert_file, key_file
        self._alpn = alpn
        self._versions = file_versions(*self._files)
        self._latest = self._load()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Start a connection. asyncio and uvloop call this."""
        versions = file_versions(*self._files)
        if versions != self._versions:
            self._versions = versions
            try:
                self._latest = self._load()
            except (OSError, ValueError) as error:
                message = "renewed certificates cannot be used; the previous ones are: %s"
                log.warning(message, error)
        # What shows the messages of a handshake: see `certificates`.
        self._latest._msg_callback = self._msg_callback  # type: ignore[attr-defined]  # noqa: SLF001
        return self._latest.wrap_bio(*args, **kwargs)

    def _load(self) -> ssl.SSLContext:
        ca_file, cert_file, key_file = self._files
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file, password="")
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context


def create_context(
    variable: Callable[[str], str],
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
    *alpn: str,
) -> ssl.SSLContext:
    """Return a context that verifies servers, from files in PEM format, which can be renewed.

    variable: returns the name of the setting that has the file `ca`, `cert` or `key`.
    ca_file: None: the authorities that the system trusts. key_file: None: it is in `cert_file`.
    alpn: the protocols that servers can choose from.

    Raises SettingsError, whose sentence names the setting.
    """
    if key_file and not cert_file:
        raise SettingsError([f"{variable('key')}: it has no effect without {variable('cert')}."])
    files = {"ca": ca_file, "cert": cert_file, "key": key_file}
    for part, path in files.items():
        if path and not os.access(path, os.R_OK):
            raise SettingsError([f"{variable(part)}: the file {path!r} cannot be read."])
    try:
        ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise SettingsError([f"{variable('ca')}: {ca_file!r} has no PEM certificate."]) from None
    try:
        return RenewedContext(ca_file, cert_file, key_file, *alpn)
    except ssl.SSLError:
        part, path = ("key", key_file) if key_file else ("cert", cert_file)
        wrong = f"{path!r} has no PEM key, without a password, of the certificate"
        raise SettingsError([f"{variable(part)}: {wrong} in {cert_file!r}."]) from None
