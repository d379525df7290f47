"""Sentinels with TLS and users, in front of a primary with TLS and a user of its own."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from dev.sentinel import Sentinels

from reference_service.dependencies.redis import Redis, RedisSettings
from reference_service.dependencies.sentinel import (
    SentinelSettings,
    route_through_sentinel,
)
from reference_service.environment import SettingsError
from reference_service.health import Check

from .tls import (
    FAULTS,
    Authority,
    Fault,
    TlsProxy,
    server_context,
    until_error,
    until_result,
)

USER, PASSWORD = "app", "planted-of-the-primary"
SENTINEL_PASSWORD = "planted-of-the-sentinels"


class SentinelProxy(TlsProxy):
    """Puts TLS before a sentinel, which names the port of a proxy before the primary."""

    def __init__(self, target: int, context: ssl.SSLContext, ports: tuple[int, int]) -> None:
        super().__init__(target, context)
        self._primary, self._proxy = (str(port).encode() for port in ports)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(self._primary, self._proxy))
        self.close(source, target)


class Group(NamedTuple):
    sentinels: str
    primary: TlsProxy


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with Sentinels(tmp_path_factory.mktemp("sentinels")) as group:
        group.primary.ask("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
        for sentinel in group.sentinels:
            sentinel.ask("ACL", "SETUSER", USER, "on", f">{SENTINEL_PASSWORD}", "+@all")
        yield group


@contextlib.contextmanager
def encrypt(
    servers: Sentinels, sentinels: ssl.SSLContext, primary: ssl.SSLContext
) -> Iterator[Group]:
    with ExitStack() as stack:
        proxy = stack.enter_context(TlsProxy(servers.primary.port, primary).serve())
        ports = servers.primary.port, proxy.port
        addresses = []
        for sentinel in servers.sentinels:
            each = SentinelProxy(sentinel.port, sentinels, ports)
            stack.enter_context(each.serve())
            addresses.append(f"localhost:{each.port}")
        yield Group(",".join(addresses), proxy)


@contextlib.asynccontextmanager
async def connect(
    group: Group, ca: str, **settings: object
) -> AsyncIterator[tuple[Redis, dict[str, Check]]]:
    """Yield the client and the checks. The certificates are for `localhost`."""
    query = f"ssl_ca_certs={ca}&ssl_check_hostname=false"  # the sentinels name an IP address
    redis = Redis(RedisSettings(url=f"rediss://{USER}:{PASSWORD}@?{query}"))  # type: ignore[arg-type]
    options = {"sentinel_username": USER, "sentinel_password": SENTINEL_PASSWORD, **settings}
    sentinel_settings = SentinelSettings(sentinels=group.sentinels, **options)  # type: ignore[arg-type]
    sentinels = route_through_sentinel(redis, sentinel_settings)
    checks = [*redis.checks(), *sentinels[0].checks()]
    try:
        yield redis, {check.name: check for check in checks}
    finally:
        await sentinels[0].close()
        await redis.close()


async def test_requests_and_checks_use_tls_and_users(
    servers: Sentinels, authority: Authority
) -> None:
    context = server_context(authority.issue())
    with encrypt(servers, context, context) as group:
        tls = {"sentinel_tls": True, "sentinel_tls_ca_file": authority.cert}
        async with connect(group, authority.cert, **tls) as (redis, checks):
            for check in checks.values():
                await until_result(check)
            assert await redis.client.acl_whoami() == USER


async def test_mutual_tls(servers: Sentinels, authority: Authority) -> None:
    mine = authority.issue("client")
    primary = server_context(authority.issue())
    with encrypt(servers, server_context(authority.issue(), authority.cert), primary) as group:
        tls = {"sentinel_tls": True, "sentinel_tls_ca_file": authority.cert}
        pair = {"sentinel_tls_cert_file": mine.cert, "sentinel_tls_key_file": mine.key}
        async with connect(group, authority.cert, **tls, **pair) as (redis, checks):
            await until_result(checks["redis.sentinel"], certificates=2)
            assert await redis.client.ping()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.error)
async def test_failed_handshake_with_sentinels_has_a_name_and_is_permanent(
    servers: Sentinels, authority: Authority, fault: Fault
) -> None:
    certificate, clients, ca = authority.issue_for(fault)
    primary = server_context(authority.issue())
    with encrypt(servers, server_context(certificate, clients), primary) as group:
        tls = {"sentinel_tls": True, "sentinel_tls_ca_file": ca}
        async with connect(group, authority.cert, **tls) as (redis, checks):
            await until_error(checks["redis.sentinel"], fault.error)
            with pytest.raises(Exception, match="no sentinel knows the primary"):
                await redis.client.ping()


async def test_expired_certificate_of_the_primary_has_a_name_in_both_checks(
    servers: Sentinels, authority: Authority
) -> None:
    context = server_context(authority.issue())
    with encrypt(servers, context, server_context(authority.issue(days=-1))) as group:
        tls = {"sentinel_tls": True, "sentinel_tls_ca_file": authority.cert}
        async with connect(group, authority.cert, **tls) as (_, checks):
            for check in checks.values():
                await until_error(check, "CertificateExpired")


async def test_wrong_password_of_the_sentinels_is_permanent(
    servers: Sentinels, authority: Authority
) -> None:
    context = server_context(authority.issue())
    with encrypt(servers, context, context) as group:
        tls = {"sentinel_tls": True, "sentinel_tls_ca_file": authority.cert}
        wrong = {"sentinel_password": "wrong"}
        async with connect(group, authority.cert, **tls, **wrong) as (_, checks):
            await until_error(checks["redis.sentinel"], "AuthenticationFailed")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"sentinel_tls_ca_file": "/ca"},
            "REDIS_SENTINEL_TLS_CA_FILE: it has no effect without REDIS_SENTINEL_TLS=true.",
        ),
        (
            {"sentinel_tls": True, "sentinel_tls_ca_file": "/none"},
            "REDIS_SENTINEL_TLS_CA_FILE: the file '/none' cannot be read.",
        ),
        (
            {"sentinel_username": "app"},
            "REDIS_SENTINEL_USERNAME: set REDIS_SENTINEL_PASSWORD too.",
        ),
    ],
)
def test_unusable_settings_are_rejected_in_one_sentence(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        route_through_sentinel(
            Redis(RedisSettings(url="redis://")),  # type: ignore[arg-type]
            SentinelSettings(sentinels="a", **settings),  # type: ignore[arg-type]
        )
    assert raised.value.errors == [sentence]
