"""What a URL of PostgreSQL says about TLS, and whether asyncpg can use it."""

import contextlib
import inspect
import os
import ssl
from collections.abc import Mapping

from asyncpg import connect_utils  # type: ignore[import-untyped]

ENCRYPTED = "require", "verify-ca", "verify-full"
FILES = "passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"


def require_useful_files(query: Mapping[str, str]) -> None:
    """Raise ValueError for files that have no effect."""
    authority, cert, key = map(query.get, ("sslrootcert", "sslcert", "sslkey"))
    if query.get("sslmode") == "disable" and (authority or cert or key):
        raise ValueError("sslrootcert, sslcert and sslkey have no effect with sslmode=disable")
    if key and not cert:
        raise ValueError("sslkey has no effect without sslcert")


class SystemTls:
    """Verifies servers with the certificates of the system. Raises OSError if a file is unusable.

    cert: the file of the client's certificate, if it has one.
    """

    def __init__(self, cert: str | None, key: str | None, password: str) -> None:
        self._context = ssl.create_default_context()
        self._client = cert, key, password
        self._load_client()

    def context(self) -> ssl.SSLContext:
        """Return what a new connection needs, with the client's certificate as its file is now."""
        with contextlib.suppress(OSError):  # the file is being replaced
            self._load_client()
        return self._context

    def _load_client(self) -> None:
        cert, key, password = self._client
        if cert:
            self._context.load_cert_chain(cert, key, password)


def find_system_tls(query: dict[str, str]) -> SystemTls | None:
    """Return what verifies the server's certificate with the certificates of the system, if asked.

    asyncpg cannot bind the log-in to the encrypted connection. `channel_binding=require` therefore
    has the certificate verified, which also makes sure that no other server gets the password.
    """
    mode, authority = query.get("sslmode", "prefer"), query.get("sslrootcert")
    bound = query.get("channel_binding") == "require"
    if bound and mode not in ENCRYPTED:
        raise ValueError("channel_binding=require needs sslmode=require")
    if authority == "system" or (bound and not authority):
        return SystemTls(query.get("sslcert"), query.get("sslkey"), query.get("sslpassword", ""))
    if bound:
        query["sslmode"] = "verify-full"
    default = os.path.expanduser("~/.postgresql/root.crt")  # noqa: PTH111 - does not raise
    known = authority or "PGSSLROOTCERT" in os.environ or os.access(default, os.R_OK)
    if mode in ENCRYPTED[1:] and not known:
        raise ValueError(f"sslmode={mode} needs sslrootcert=FILE, or sslrootcert=system")
    return None


def check_url(dsn: str, tls: SystemTls | None) -> None:
    """Raise ValueError, or OSError of a file, for what asyncpg would reject on each connect."""
    # asyncpg has no public way to parse a URL: tested with 0.32.
    parse = connect_utils._parse_connect_dsn_and_args  # noqa: SLF001
    arguments = dict.fromkeys(inspect.signature(parse).parameters)
    try:
        parse(**(arguments | {"dsn": dsn, "ssl": tls and tls.context()}))
    except OSError:
        raise
    except Exception:  # whatever it is: its message can contain a value
        reason = "asyncpg rejects a parameter behind `?`, or a variable PG… of the environment"
        raise ValueError(reason) from None
