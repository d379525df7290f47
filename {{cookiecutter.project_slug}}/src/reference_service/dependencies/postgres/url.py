"""The URL of the database: libpq's parameters, as far as asyncpg and this service know them.

asyncpg sends a parameter that it does not know to the server, which then rejects each connection.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ...environment import split_url
from .url_tls import ENCRYPTED, FILES, SystemTls, check_url, find_system_tls, require_useful_files

DEFAULT_PORT = 5432
LARGEST = 2**31 - 1

Address = tuple[str, int] | None
"""A host and a port. None: what the URL or libpq's variables say."""

# When the other end no longer responds, the kernel closes the connection after about 15 seconds,
# in which it is idle or waits for an acknowledgment. Linux has all of these options.
SOCKET_OPTIONS = {  # by libpq's name: the kernel's, the value unless the URL has one, the maximum
    "keepalives_idle": ("TCP_KEEPIDLE", 5, 32_767),  # seconds until an idle connection is probed
    "keepalives_interval": ("TCP_KEEPINTVL", 5, 32_767),  # seconds between probes
    "keepalives_count": ("TCP_KEEPCNT", 2, 127),  # unanswered probes
    "tcp_user_timeout": ("TCP_USER_TIMEOUT", 15_000, LARGEST),  # milliseconds until acknowledged
}
# What asyncpg or the server understands as libpq does.
PASSED_ON = {
    *("application_name", "dbname", "gsslib", "krbsrvname", "options", "password", "service"),
    *("sslmode", "sslnegotiation", "sslpassword", "ssl_max_protocol_version"),
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
    "sslnegotiation": ("postgres", "direct"),
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
    tls: SystemTls | None  # instead of what the URL says
    encrypted: bool  # no connection is opened without TLS
    cert_file: str | None  # the client's certificate, if it has one


def parse_url(text: str) -> DatabaseUrl:
    """Return what a URL says. Raises ValueError, whose message contains no value from it."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres") or not separator:
        raise ValueError("not the URL of a PostgreSQL server")
    url = split_url(f"postgresql://{rest}")
    query = _parse_query(url.query)
    netloc = _pop_netloc(query, url.netloc)
    options = {}
    for name, (option, default, maximum) in SOCKET_OPTIONS.items():
        options[option] = _pop_number(query, name, default, maximum)
    connect_timeout = _pop_number(query, "connect_timeout", 0, LARGEST)
    keepalives = query.get("keepalives") != "0"
    for name, value in query.items():
        _check(name, value)
    application_name = query.pop("application_name", os.environ.get("PGAPPNAME"))
    require_useful_files(query)
    passed = urlencode({name: value for name, value in query.items() if name in PASSED_ON})
    dsn = f"postgresql://{netloc}{url.path}" + (f"?{passed}" if passed else "")
    split_url(dsn)  # the hosts can be those of a parameter
    addresses = tuple(_addresses(netloc.rpartition("@")[2]))
    try:
        tls = find_system_tls(query)
        check_url(dsn, tls)
    except OSError:
        raise ValueError("a file of ssl… has no PEM certificate, or not its key") from None
    return DatabaseUrl(
        dsn,
        addresses,
        application_name or f"{__name__.partition('.')[0]}@{socket.gethostname()}"[-63:],
        "target_session_attrs" in query,
        connect_timeout,
        {name: value for name, value in options.items() if value and keepalives},
        tls,
        tls is not None or query.get("sslmode", os.environ.get("PGSSLMODE")) in ENCRYPTED,
        query.get("sslcert"),
    )


def _parse_query(text: str) -> dict[str, str]:
    """Return the parameters, with the older names that other programs write replaced."""
    try:  # libpq decodes no `+`
        text = text.strip("&").replace("+", "%2B")
        query = dict(parse_qsl(text, True, strict_parsing=bool(text)))
    except ValueError:
        raise ValueError("what stands behind `?` is not name=value&name=value") from None
    if mode := query.pop("ssl", ""):  # JDBC's, or SQLAlchemy's for asyncpg
        query.setdefault("sslmode", {"true": "require", "false": "disable"}.get(mode, mode))
    if name := query.pop("fallback_application_name", ""):
        query.setdefault("application_name", name)
    return query


def _pop_netloc(query: dict[str, str], netloc: str) -> str:
    """Return the user, password and hosts. As in libpq, the hosts among the parameters win."""
    credentials, _, hosts = netloc.rpartition("@")
    # asyncpg would take what follows the first `@`, as it is in a password, for the host.
    user, _, password = credentials.partition(":")
    user, password = quote(unquote(user), ""), quote(unquote(password), "")
    hosts = _join_hosts(query, hosts) if "host" in query else hosts
    return f"{user}:{password}@{hosts}" if user or password else hosts


def _join_hosts(query: dict[str, str], hosts: str) -> str:
    """Return the hosts that parameters name, as in a URL."""
    port = hosts.rpartition(":")[2]
    names = query.pop("host").split(",")
    ports = query.pop("port", port if port.isdecimal() else "").split(",")
    if len(ports) not in (1, len(names)):
        raise ValueError("there are not as many ports as hosts")
    ports = ports if len(ports) == len(names) else ports * len(names)
    quoted = [f"[{quote(n, ':')}]" if ":" in n and n[0] != "/" else quote(n, "") for n in names]
    return ",".join(f"{n}:{p}".rstrip(":") for n, p in zip(quoted, ports, strict=True))


def _pop_number(query: dict[str, str], name: str, default: int, maximum: int) -> int:
    text = query.pop(name, str(default))
    if not (text.isascii() and text.isdecimal() and int(text) <= maximum):
        raise ValueError(f"{name} is not a number from 0 to {maximum}")
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
