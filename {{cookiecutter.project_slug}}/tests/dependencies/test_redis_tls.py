"""Redis over TLS: the clients of requests and the check agree, and the check says why."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import exceptions

from dev.valkey import Valkey

from reference_service.dependencies.redis import Redis, RedisSettings
from reference_service.environment import SettingsError, read_section
from reference_service.health import Check, Status

from ..conftest import StartService
from .tls import (
    FAULTS,
    Authority,
    ClientFiles,
    Fault,
    TlsProxy,
    server_context,
    until_error,
    until_result,
)

WITHOUT_OTHERS: dict[str, str] = {}
WITHOUT_OTHERS["REDIS_SENTINELS"] = ""  # feature: sentinel


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def url(proxy: TlsProxy, **parameters: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"rediss://localhost:{proxy.port}/0?{query}"


@contextlib.asynccontextmanager
async def connect(url: str) -> AsyncIterator[Redis]:
    client = Redis(RedisSettings(url=url))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.close()


def only_check(client: Redis) -> Check:
    [only] = client.checks()
    return only


async def test_requests_and_check_use_tls(valkey: Valkey, authority: Authority) -> None:
    with TlsProxy(valkey.port, server_context(authority.issue())).serve() as proxy:
        async with connect(url(proxy, ssl_ca_certs=authority.cert)) as client:
            await until_result(only_check(client))
            assert await client.client.ping()


async def test_mutual_tls(valkey: Valkey, authority: Authority) -> None:
    mine = authority.issue("client")
    context = server_context(authority.issue(), authority.cert)
    with TlsProxy(valkey.port, context).serve() as proxy:
        pair = {"ssl_certfile": mine.cert, "ssl_keyfile": mine.key}
        async with connect(url(proxy, ssl_ca_certs=authority.cert, **pair)) as client:
            await until_result(only_check(client), certificates=2)
            assert await client.client.ping()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.error)
async def test_failed_handshake_has_a_name_and_is_permanent(
    valkey: Valkey, authority: Authority, fault: Fault
) -> None:
    certificate, clients, ca = authority.issue_for(fault)
    with TlsProxy(valkey.port, server_context(certificate, clients)).serve() as proxy:
        async with connect(url(proxy, ssl_ca_certs=ca)) as client:
            await until_error(only_check(client), fault.error)
            with pytest.raises(exceptions.ConnectionError):
                await client.client.ping()


async def test_rejected_client_certificate_has_a_name(
    valkey: Valkey, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "foreign").issue("client")
    context = server_context(authority.issue(), authority.cert)
    with TlsProxy(valkey.port, context).serve() as proxy:
        pair = {"ssl_certfile": foreign.cert, "ssl_keyfile": foreign.key}
        async with connect(url(proxy, ssl_ca_certs=authority.cert, **pair)) as client:
            await until_error(only_check(client), "ClientCertificateRejected")


@pytest.mark.parametrize(
    ("days", "status", "detail"),
    [(13, Status.WARN, "a certificate expires in 12 days"), (15, Status.PASS, "")],
)
async def test_certificate_that_expires_soon_warns(
    valkey: Valkey, authority: Authority, days: int, status: Status, detail: str
) -> None:
    with TlsProxy(valkey.port, server_context(authority.issue(days=days))).serve() as proxy:
        async with connect(url(proxy, ssl_ca_certs=authority.cert)) as client:
            result = await until_result(only_check(client), status)
    assert result.detail == detail


async def test_client_certificate_that_expires_soon_warns(
    valkey: Valkey, authority: Authority
) -> None:
    mine = authority.issue("client", days=3)
    context = server_context(authority.issue(), authority.cert)
    with TlsProxy(valkey.port, context).serve() as proxy:
        pair = {"ssl_certfile": mine.cert, "ssl_keyfile": mine.key}
        async with connect(url(proxy, ssl_ca_certs=authority.cert, **pair)) as client:
            await until_result(only_check(client), Status.WARN, certificates=2)


async def test_certificate_that_is_wrong_for_new_connections_only_warns(
    valkey: Valkey, authority: Authority
) -> None:
    with TlsProxy(valkey.port, server_context(authority.issue())).serve() as proxy:
        async with connect(url(proxy, ssl_ca_certs=authority.cert)) as client:
            await client.client.ping()
            await client.check_client.ping()
            proxy.context = server_context(authority.issue(days=-1))
            check = only_check(client)
            result = await until_result(check, Status.WARN, certificates=0)
            assert await client.client.ping()
            proxy.context = server_context(authority.issue())
            await until_result(check)
    assert result.detail.endswith("but new ones fail: CertificateExpired")


def test_service_reports_what_its_clients_see(
    valkey: Valkey, authority: Authority, start_service: StartService
) -> None:
    with TlsProxy(valkey.port, server_context(authority.issue(days=-1))).serve() as proxy:
        address = url(proxy, ssl_ca_certs=authority.cert)
        service = start_service(REDIS_URL=address, **WITHOUT_OTHERS)
        service.until_error("redis", "CertificateExpired")
        assert service.check("redis")["output"] == "the server's certificate has expired"
        proxy.context = server_context(authority.issue())
        service.until_status("pass")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("redis://h?ssl_ca_certs={cert}", "the parameters ssl_… have no effect: write rediss://"),
        ("rediss://h?ssl_ca_certs=/none", "a file of ssl_… cannot be read, or has no PEM"),
        ("rediss://h?ssl_keyfile={key}", "ssl_keyfile has no effect without ssl_certfile"),
        ("rediss://h?ssl_certfile={cert}", "a file of ssl_… cannot be read, or has no PEM"),
        ("rediss://h?ssl_ca_certs={key}", "a file of ssl_… cannot be read, or has no PEM"),
        ("rediss://h?ssl_cert_reqs=some", "redis-py does not know a parameter behind `?`"),
    ],
)
def test_unusable_parameters_are_rejected_in_one_sentence(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    mine = authority.issue("client")
    monkeypatch.setenv("REDIS_URL", text.format(cert=mine.cert, key=mine.key))
    with pytest.raises(SettingsError) as raised:
        read_section(RedisSettings)
    [error] = raised.value.errors
    assert error.startswith(f"REDIS_URL: {sentence}")


async def test_renewed_certificates_are_used_for_the_next_connection(
    valkey: Valkey, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    parameters = {"ssl_ca_certs": files.ca, "ssl_certfile": files.cert, "ssl_keyfile": files.key}
    context = server_context(authority.issue(), authority.cert)
    with TlsProxy(valkey.port, context).serve() as proxy:
        async with connect(url(proxy, **parameters)) as client:
            await until_result(only_check(client), certificates=2)
            assert await client.client.ping()
            proxy.context = server_context(other.issue(), other.cert)
            proxy.disconnect()
            await until_error(only_check(client), "CertificateUnknownAuthority")
            files.renew(other)
            await until_result(only_check(client), certificates=2)
            assert await client.client.ping()
