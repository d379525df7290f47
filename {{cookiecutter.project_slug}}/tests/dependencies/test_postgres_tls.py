"""`channel_binding=require` has the certificate verified, on a server that has TLS: PgBouncer."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.ports import free_port
from dev.postgres import Postgres
from dev.process import Process

from reference_service.dependencies.postgres import PostgresSettings
from reference_service.dependencies.postgres.connect import Connector

from ..processes import eventually
from ..tools import tool
from .test_postgres_pooler import CONFIGURATION, command

TLS = """\
client_tls_sslmode = require
client_tls_key_file = {folder}/key.pem
client_tls_cert_file = {folder}/certificate.pem
"""
TRUST = "channel_binding=require&sslrootcert={folder}/certificate.pem"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for `localhost`, which no system trusts."""
    folder = tmp_path_factory.mktemp("tls")
    openssl = [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-batch"]
    openssl += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    openssl += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(openssl, check=True, stderr=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The URL of a server that only accepts connections with TLS."""
    port = free_port()
    with Postgres(folder / "postgres") as postgres, (folder / "log").open("wb") as log:
        configuration = CONFIGURATION.format(target=postgres.port, port=port, folder=folder)
        (folder / "pgbouncer.ini").write_text(configuration + TLS.format(folder=folder))
        password = postgres.url.split(":")[2].split("@")[0]
        (folder / "users").write_text(f'"service" "{password}"\n')
        with Process(command(folder), output=log):
            yield postgres.url.replace(f":{postgres.port}/", f":{port}/")


async def connect(url: str) -> bool:
    """Connect as the service does. Return whether the server was there."""
    try:
        connection = await Connector(PostgresSettings(url=url)).connect(5)  # type: ignore[arg-type]
    except ConnectionRefusedError:
        return False
    await connection.close()
    return True


async def test_certificate_is_verified(url: str, folder: Path) -> None:
    """asyncpg has no channel binding, and managed databases hand out URLs that require it."""
    trusted = TRUST.format(folder=folder)
    by_name = url.replace("127.0.0.1", "localhost")
    await eventually(lambda: connect(f"{url}?sslmode=require"))
    assert await connect(f"{by_name}?sslmode=require&{trusted}")
    for refused in (
        f"{by_name}?sslmode=require&channel_binding=require",  # the system does not trust it
        f"{by_name}?sslrootcert=system",
        f"{url}?sslmode=require&{trusted}",  # it is valid for another host
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(refused)
