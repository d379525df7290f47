"""PostgreSQL over TLS, on a server that has it: PgBouncer. The check says what is wrong."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text

from dev.ports import free_port
from dev.postgres import Postgres as Server
from dev.process import Process

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
)
from reference_service.dependencies.postgres.connect import Connector
from reference_service.dependencies.postgres.errors import CannotConnectError
from reference_service.environment import SettingsError, read_section
from reference_service.health import Check, Status

from ..conftest import StartService
from ..processes import eventually
from .test_postgres_pooler import CONFIGURATION, command
from .tls import (
    FAULTS,
    Authority,
    Certificate,
    ClientFiles,
    Fault,
    until_error,
    until_result,
)

TLS = """\
client_tls_sslmode = {mode}
client_tls_key_file = {key}
client_tls_cert_file = {cert}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@contextlib.asynccontextmanager
async def serve(
    folder: Path, postgres: Server, certificate: Certificate, clients: str = "", port: int = 0
) -> AsyncIterator[str]:
    """Yield the URL of a pooler that only accepts connections with TLS, at `localhost`."""
    port = port or free_port()
    text = CONFIGURATION.format(target=postgres.port, port=port, folder=folder)
    text += TLS.format(mode="verify-ca" if clients else "require", **certificate._asdict())
    if clients:
        text += f"client_tls_ca_file = {clients}\n"
    (folder / "pgbouncer.ini").write_text(text)
    password = postgres.url.split(":")[2].split("@")[0]
    (folder / "users").write_text(f'"service" "{password}"\n')
    url = postgres.url.replace(f"127.0.0.1:{postgres.port}/", f"localhost:{port}/")
    with (folder / "log").open("wb") as log, Process(command(folder), output=log):
        await eventually(lambda: listens(url))
        yield url


async def listens(url: str) -> bool:
    try:
        await (await asyncpg.connect(f"{url}?sslmode=require")).close()
    except ConnectionRefusedError:
        return False
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pass  # it requires a certificate
    return True


@contextlib.asynccontextmanager
async def connect(url: str) -> AsyncIterator[tuple[Postgres, Check]]:
    """Yield the client, and the check of the server."""
    client = Postgres(PostgresSettings(url=url, prepared_statements=False))  # type: ignore[arg-type]
    try:
        yield client, next(iter(client.checks()))
    finally:
        await client.close()


async def test_requests_and_check_use_tls(
    tmp_path: Path, postgres: Server, authority: Authority
) -> None:
    async with serve(tmp_path, postgres, authority.issue()) as url:
        for parameters in (
            "sslmode=require",  # which verifies nothing without sslrootcert, as in libpq
            f"sslmode=verify-full&sslrootcert={authority.cert}",
            f"sslmode=require&channel_binding=require&sslrootcert={authority.cert}",
        ):
            async with connect(f"{url}?{parameters}") as (client, check):
                await until_result(check)
                [[one]] = await client.read(text("SELECT 1"))
                assert one == 1


async def test_mutual_tls(tmp_path: Path, postgres: Server, authority: Authority) -> None:
    mine = authority.issue("service")
    async with serve(tmp_path, postgres, authority.issue(), authority.cert) as url:
        pair = f"sslcert={mine.cert}&sslkey={mine.key}"
        full = f"{url}?sslmode=verify-full&sslrootcert={authority.cert}&{pair}"
        async with connect(full) as (client, check):
            await until_result(check, certificates=2)
            assert await client.read(text("SELECT 1"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.error)
async def test_failed_handshake_has_a_name_and_is_permanent(
    tmp_path: Path, postgres: Server, authority: Authority, fault: Fault
) -> None:
    certificate, clients, ca = authority.issue_for(fault)
    parameters = f"sslmode=verify-full&sslrootcert={ca}"
    async with (
        serve(tmp_path, postgres, certificate, clients) as url,
        connect(f"{url}?{parameters}") as (client, check),
    ):
        await until_error(check, fault.error)
        with pytest.raises(CannotConnectError):
            await client.read(text("SELECT 1"))


@pytest.mark.parametrize(("days", "when"), [(13, "expires in 12 days"), (-1, "has expired")])
async def test_certificate_that_expires_soon_warns(
    tmp_path: Path, postgres: Server, authority: Authority, days: int, when: str
) -> None:
    async with (
        serve(tmp_path, postgres, authority.issue(days=days)) as url,
        connect(f"{url}?sslmode=require") as (_, check),  # which does not verify it
    ):
        result = await until_result(check, Status.WARN)
    assert result.detail == f"a certificate {when}"


async def test_certificate_that_the_system_does_not_trust_is_rejected(
    tmp_path: Path, postgres: Server, authority: Authority
) -> None:
    """asyncpg has no channel binding, and managed databases hand out URLs that require it."""
    async with serve(tmp_path, postgres, authority.issue()) as url:
        for parameters in ("sslmode=require&channel_binding=require", "sslrootcert=system"):
            settings = PostgresSettings(url=f"{url}?{parameters}")  # type: ignore[arg-type]
            with pytest.raises(ssl.SSLCertVerificationError):
                await Connector(settings).connect(5)


async def test_service_reports_what_its_clients_see(
    tmp_path: Path, postgres: Server, authority: Authority, start_service: StartService
) -> None:
    async with serve(tmp_path, postgres, authority.issue(days=-1)) as url:
        parameters = f"sslmode=verify-full&sslrootcert={authority.cert}"
        service = start_service(DATABASE_URL=f"{url}?{parameters}")
        service.until_error("postgres", "CertificateExpired")
        service.until_ready(503)
        assert service.api.get("/items").status_code == 503


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("sslmode=verify-full&sslrootcert=/none", "the file of sslrootcert cannot be read"),
        ("sslmode=verify-full&sslrootcert={key}", "a file of ssl… has no PEM certificate, or not"),
        ("sslmode=disable&sslrootcert={cert}", "sslrootcert, sslcert and sslkey have no effect"),
        ("sslmode=require&sslkey={key}", "sslkey has no effect without sslcert"),
        ("sslmode=require&sslcert={cert}&sslkey={other}", "a file of ssl… has no PEM certificate"),
    ],
)
def test_unusable_files_are_rejected_in_one_sentence(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, parameters: str, sentence: str
) -> None:
    mine, other = authority.issue("client"), authority.issue("other")
    query = parameters.format(cert=mine.cert, key=mine.key, other=other.key)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:hunter@host/db?{query}")
    with pytest.raises(SettingsError) as raised:
        read_section(PostgresSettings)
    [error] = raised.value.errors
    assert error.startswith(f"DATABASE_URL: {sentence}")


async def test_renewed_certificates_are_used_for_the_next_connection(
    tmp_path: Path, postgres: Server, authority: Authority
) -> None:
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    port = free_port()
    parameters = f"sslrootcert={files.ca}&sslcert={files.cert}&sslkey={files.key}"
    full = f"{postgres.url}?sslmode=verify-full&{parameters}"
    full = full.replace(f"127.0.0.1:{postgres.port}/", f"localhost:{port}/")
    async with connect(full) as (client, check):
        async with serve(tmp_path, postgres, authority.issue(), authority.cert, port):
            await until_result(check, certificates=2)
            assert await client.read(text("SELECT 1"))
        async with serve(tmp_path, postgres, other.issue(), other.cert, port):
            await until_error(check, "CertificateUnknownAuthority")
            files.renew(other)
            await until_result(check, certificates=2)
            assert await client.read(text("SELECT 1"))


async def test_renewed_certificate_is_used_with_the_authorities_of_the_system(
    tmp_path: Path, postgres: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.cert)
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    port = free_port()
    full = f"{postgres.url}?sslrootcert=system&sslcert={files.cert}&sslkey={files.key}"
    full = full.replace(f"127.0.0.1:{postgres.port}/", f"localhost:{port}/")
    async with connect(full) as (client, check):
        async with serve(tmp_path, postgres, authority.issue(), authority.cert, port):
            await until_result(check, certificates=2)
        async with serve(tmp_path, postgres, authority.issue(), other.cert, port):
            await until_error(check, "ClientCertificateRejected")
            files.renew(other)
            await until_result(check, certificates=2)
            assert await client.read(text("SELECT 1"))
