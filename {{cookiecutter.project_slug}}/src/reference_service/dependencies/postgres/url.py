"""The URL of the database: libpq's parameters, as far as asyncpg and this service know them.

asyncpg sends a parameter that it does not know to the server, which then rejects each connection.
"""

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ...environment import split_url

DEFAULT_PORT = 5432

Address = tuple[str, int] | None
"""A host and a port. None: what the URL or libpq's variables say."""

# When the other end no longer responds, the kernel closes the connection after about 15 seconds,
# in which it is idle or waits for an acknowledgment. Linux has all of these options.
SOCKET_OPTIONS = {  # by libpq's name: the kernel's, and the value unless the URL has one
    "keepalives_idle": ("TCP_KEEPIDLE", 5),  # seconds until the first probe of an idle connection
    "keepalives_interval": ("TCP_KEEPINTVL", 5),  # seconds between probes
    "keepalives_count": ("TCP_KEEPCNT", 2),  # unanswered probes
    "tcp_user_timeout": ("TCP_USER_TIMEOUT", 15_000),  # milliseconds until data is acknowledged
}
ENCRYPTED = "require", "verify-ca", "verify-full"
FILES = "passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"
# What asyncpg or the server understands as libpq does.
PASSED_ON = {
    *("application_name", "dbname", "gsslib", "host", "krbsrvname", "options", "password", "port"),
    *("service", "sslmode", "sslnegotiation", "sslpassword", "ssl_max_protocol_version"),
    *("ssl_min_protocol_version", "target_session_attrs", "user", *FILES),
}
# The values of other parameters that change nothing here, or are understood below.
ACCEPTED = {
    "channel_binding": ("disable", "prefer", "require"),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
    "gssencmode": ("disable", "prefer"),
    "keepalives": ("0", "1"),
    "load_balance_hosts": ("disable",),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslmode": ("disable", "allow", "prefer", *ENCRYPTED),
    "sslsni": ("1",),
    "target_session_attrs": (
        *("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    ),
}
INSTEAD = {
    "connection_limit": "set DATABASE_POOL_SIZE",
    "pgbouncer": "set DATABASE_PREPARED_STATEMENTS=false",
    "schema": "write options=-csearch_path%3DNAME",
    "statement_timeout": "write options=-cstatement_timeout%3DMILLISECONDS",
}


@dataclass(frozen=True)
class DatabaseUrl:
    """What is needed to connect."""

    dsn: str  # for asyncpg
    addresses: tuple[Address, ...]
    application_name: str  # by default the service and its host, which is the pod
    names_session: bool  # the URL has `target_session_attrs`
    connect_timeout: int  # maximum seconds for each host; 0: as the settings say
    socket_options: Mapping[str, int]
    ssl: ssl.SSLContext | None  # instead of what the URL says
    encrypted: bool  # no connection is opened without TLS
    cert_file: str | None  # the client's certificate, if it has one


def parse_url(text: str) -> DatabaseUrl:
    """Return what a URL says. Raises ValueError, whose message contains no value from it."""
    scheme, _, rest = text.strip().partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("not the URL of a PostgreSQL server")
    url = split_url(f"postgresql://{rest}")
    query = _parse_query(url.query)
    options = {}
    for name, (option, default) in SOCKET_OPTIONS.items():
        options[option] = _pop_number(query, name, default)
    connect_timeout = _pop_number(query, "connect_timeout", 0)
    keepalives = query.get("keepalives") != "0"
    for name, value in query.items():
        _check(name, value)
    application_name = query.pop("application_name", os.environ.get("PGAPPNAME"))
    _require_usable_files(query)
    context = _ssl_context(query)
    credentials, at, hosts = url.netloc.rpartition("@")
    # asyncpg would take what follows the first `@`, as it is in a password, for the host.
    user, colon, password = (quote(unquote(part), "") for part in credentials.partition(":"))
    passed = urlencode({name: value for name, value in query.items() if name in PASSED_ON})
    netloc = f"{user}{unquote(colon)}{password}{at}{hosts}"
    return DatabaseUrl(
        f"postgresql://{netloc}{url.path}" + (f"?{passed}" if passed else ""),
        tuple(_addresses(hosts)),
        application_name or f"{__name__.partition('.')[0]}@{socket.gethostname()}"[-63:],
        "target_session_attrs" in query,
        connect_timeout,
        {name: value for name, value in options.items() if value and keepalives},
        context,
        context is not None or query.get("sslmode", os.environ.get("PGSSLMODE")) in ENCRYPTED,
        query.get("sslcert"),
    )


def _parse_query(text: str) -> dict[str, str]:
    """Return the parameters, with the older names that other programs write replaced."""
    try:  # libpq decodes no `+`
        query = dict(parse_qsl(text.replace("+", "%2B"), True, strict_parsing=bool(text)))
    except ValueError:
        raise ValueError("what stands behind `?` is not name=value&name=value") from None
    if mode := query.pop("ssl", ""):  # JDBC's, or SQLAlchemy's for asyncpg
        query.setdefault("sslmode", "require" if mode == "true" else mode)
    if name := query.pop("fallback_application_name", ""):
        query.setdefault("application_name", name)
    return query


def _pop_number(query: dict[str, str], name: str, default: int) -> int:
    text = query.pop(name, str(default))
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name} is not a number")
    return int(text)


def _check(name: str, value: str) -> None:
    """Raise ValueError for what would fail later, or have no effect."""
    if name in INSTEAD:
        raise ValueError(f"libpq does not know {name}: {INSTEAD[name]}")
    if name in ACCEPTED and value not in ACCEPTED[name]:
        raise ValueError(f"{name} can only be {', '.join(ACCEPTED[name])}")
    if name not in ACCEPTED and name not in PASSED_ON:  # it could be a part of a password
        raise ValueError("libpq, or asyncpg, does not know a parameter behind `?`")
    if name in FILES and value != "system" and not os.access(value, os.R_OK):
        raise ValueError(f"the file of {name} cannot be read")


def _require_usable_files(query: Mapping[str, str]) -> None:
    """Raise ValueError for files that have no effect, or are not what they should be."""
    authority, cert, key = map(query.get, ("sslrootcert", "sslcert", "sslkey"))
    if query.get("sslmode") == "disable" and (authority or cert or key):
        raise ValueError("sslrootcert, sslcert and sslkey have no effect with sslmode=disable")
    if key and not cert:
        raise ValueError("sslkey has no effect without sslcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authority and authority != "system":
            context.load_verify_locations(authority)
        if cert and key:
            context.load_cert_chain(cert, key, query.get("sslpassword", ""))
    except ssl.SSLError:
        raise ValueError("a file of ssl… has no PEM certificate, or not its key") from None


def _ssl_context(query: dict[str, str]) -> ssl.SSLContext | None:
    """Return what verifies the server's certificate with the certificates of the system, if asked.

    asyncpg cannot bind the log-in to the encrypted connection. `channel_binding=require` therefore
    has the certificate verified, which also makes sure that no other server gets the password.
    """
    mode, authority = query.get("sslmode", "prefer"), query.get("sslrootcert")
    bound = query.get("channel_binding") == "require"
    if bound and mode not in ENCRYPTED:
        raise ValueError("channel_binding=require needs sslmode=require")
    if authority == "system" or (bound and not authority):
        context = ssl.create_default_context()
        if certificate := query.get("sslcert"):
            context.load_cert_chain(certificate, query.get("sslkey"), query.get("sslpassword"))
        return context
    if bound:
        query["sslmode"] = "verify-full"
    default = os.path.expanduser("~/.postgresql/root.crt")  # noqa: PTH111 - does not raise
    known = authority or "PGSSLROOTCERT" in os.environ or os.access(default, os.R_OK)
    if mode in ENCRYPTED[1:] and not known:
        raise ValueError(f"sslmode={mode} needs sslrootcert=FILE, or sslrootcert=system")
    return None


def _addresses(hosts: str) -> list[Address]:
    """Return the hosts of a URL if it names several, else only None."""
    if "," not in hosts:
        return [None]
    parts = [urlsplit(f"//{unquote(host)}") for host in hosts.split(",")]
    if not all(part.hostname for part in parts):
        raise ValueError(
            "a host is missing, or is the path of a socket, which must be the only one"
        )
    return [(part.hostname or "", part.port or DEFAULT_PORT) for part in parts]
