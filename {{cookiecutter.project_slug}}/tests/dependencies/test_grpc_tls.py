"""gRPC over TLS: calls and the check agree, and the check says what is wrong."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from dev.grpc import SERVICE, Downstream

from reference_service.dependencies.grpc import Grpc, GrpcSettings
from reference_service.dependencies.grpc.client import (
    ServiceUnavailableError,
)
from reference_service.environment import SettingsError
from reference_service.health import Check, Status

from ..conftest import StartService
from .tls import (
    FAULTS,
    Authority,
    Certificate,
    ClientFiles,
    Fault,
    until_error,
    until_result,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def serve(folder: Path, certificate: Certificate, **settings: str) -> Iterator[Downstream]:
    files = {"cert": certificate.cert, "key": certificate.key, **settings}
    with Downstream(folder / "downstream", settings=files) as server:
        yield server


def target(server: Downstream, parameters: str = "") -> str:
    return f"orders=localhost:{server.port}/{SERVICE}{parameters}"


@contextlib.asynccontextmanager
async def connect(targets: str, **settings: object) -> AsyncIterator[Grpc]:
    client = Grpc(GrpcSettings(targets=targets, **settings))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.close()


async def call(client: Grpc) -> int:
    stub = health_pb2_grpc.HealthStub(client.channel("orders"))
    response = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=2)
    return int(response.status)


def only_check(client: Grpc) -> Check:
    [only] = client.checks()
    return only


async def test_calls_and_check_use_tls(tmp_path: Path, authority: Authority) -> None:
    with serve(tmp_path, authority.issue()) as server:
        files = {"tls": True, "tls_ca_file": authority.cert}
        async with connect(target(server), **files) as client:
            await until_result(only_check(client))
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING
        async with connect(target(server)) as client:  # without TLS
            with pytest.raises(ServiceUnavailableError):
                await call(client)


async def test_mutual_tls(tmp_path: Path, authority: Authority) -> None:
    mine = authority.issue("client")
    with serve(tmp_path, authority.issue(), clients=authority.cert) as server:
        files = {"tls": True, "tls_ca_file": authority.cert}
        pair = {"tls_cert_file": mine.cert, "tls_key_file": mine.key}
        async with connect(target(server), **files, **pair) as client:
            await until_result(only_check(client), certificates=2)
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.error)
async def test_failed_handshake_has_a_name_and_is_permanent(
    tmp_path: Path, authority: Authority, fault: Fault
) -> None:
    certificate, clients, ca = authority.issue_for(fault)
    with serve(tmp_path, certificate, **({"clients": clients} if clients else {})) as server:
        async with connect(target(server), tls=True, tls_ca_file=ca) as client:
            await until_error(only_check(client), fault.error)
            with pytest.raises(ServiceUnavailableError):
                await call(client)


async def test_certificate_that_expires_soon_warns(tmp_path: Path, authority: Authority) -> None:
    with serve(tmp_path, authority.issue(days=13)) as server:
        async with connect(target(server), tls=True, tls_ca_file=authority.cert) as client:
            result = await until_result(only_check(client), Status.WARN)
    assert result.detail == "a certificate expires in 12 days"


async def test_target_overrides_the_settings(tmp_path: Path, authority: Authority) -> None:
    with serve(tmp_path, authority.issue("orders.shop")) as server:
        own = f"?tls=true&tls_ca_file={authority.cert}&tls_server_name=orders.shop"
        async with connect(target(server, own)) as client:
            await until_result(only_check(client))
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING
    with Downstream(tmp_path / "plain") as server:
        files = {"tls": True, "tls_ca_file": authority.cert}
        async with connect(target(server, "?tls=false"), **files) as client:
            await until_result(only_check(client), certificates=0)


def test_service_reports_what_its_clients_see(
    start_service: StartService, tmp_path: Path, authority: Authority
) -> None:
    with serve(tmp_path, authority.issue(days=-1)) as server:
        files = {"GRPC_TLS": "true", "GRPC_TLS_CA_FILE": authority.cert}
        service = start_service(GRPC_TARGETS=target(server), **files)
        service.until_error("grpc.orders", "CertificateExpired")
        assert service.check("grpc.orders")["consecutiveFailures"] >= 1
        assert service.api.get(f"/items/{uuid4()}/stock").status_code == 503


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tls_ca_file": "/ca"}, "GRPC_TLS_CA_FILE: it has no effect without GRPC_TLS=true."),
        ({"tls": True, "tls_ca_file": "/no"}, "GRPC_TLS_CA_FILE: the file '/no' cannot be read."),
        (
            {"tls": True, "tls_key_file": "/key"},
            "GRPC_TLS_KEY_FILE: it has no effect without GRPC_TLS_CERT_FILE.",
        ),
        (
            {"targets": "a=h:1?tls=true&tls_ca_file=/no"},
            "GRPC_TARGETS: tls_ca_file: the file '/no' cannot be read.",
        ),
        (
            {"targets": "a=h:1?tls_ca_file=/no"},
            "GRPC_TARGETS: tls_ca_file has no effect without tls=true.",
        ),
    ],
)
def test_unusable_settings_are_rejected_in_one_sentence(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        Grpc(GrpcSettings(**{"targets": "a=h:1", **settings}))  # type: ignore[arg-type]
    assert raised.value.errors == [sentence]


async def test_renewed_certificates_are_used_for_the_next_channel(
    tmp_path: Path, authority: Authority
) -> None:
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    settings = {"tls_ca_file": files.ca, "tls_cert_file": files.cert, "tls_key_file": files.key}
    with serve(tmp_path, authority.issue(), clients=authority.cert) as server:
        async with connect(target(server), tls=True, **settings) as client:
            check = only_check(client)
            await until_result(check, certificates=2)
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING
            server.settings.update(other.issue()._asdict(), clients=other.cert)
            server.restart()
            await until_error(check, "CertificateUnknownAuthority")
            files.renew(other)
            await until_result(check, certificates=2)
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING


async def test_renewed_certificates_that_do_not_work_leave_the_open_channel(
    tmp_path: Path, authority: Authority
) -> None:
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    settings = {"tls_ca_file": files.ca, "tls_cert_file": files.cert, "tls_key_file": files.key}
    with serve(tmp_path, authority.issue()) as server:
        async with connect(target(server), tls=True, **settings) as client:
            check = only_check(client)
            await until_result(check, certificates=2)
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING
            files.renew(other)  # which did not issue the server's certificate
            await until_result(check, certificates=2)
            assert await call(client) == health_pb2.HealthCheckResponse.SERVING
