"""`DATABASE_URL` works as libpq reads it, or it is rejected at the start."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from dev.postgres import Postgres

from reference_service.dependencies.postgres import PostgresSettings
from reference_service.dependencies.postgres.connect import Connector
from reference_service.dependencies.postgres.url import parse_url
from reference_service.redaction import redact

PASSWORD = "hunter@:%#/?[]ü 2"
BASE = "postgresql://app:pw@db.example:5432/orders"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        server.sql(f"CREATE ROLE \"a@b:c\" LOGIN PASSWORD '{PASSWORD}'")
        yield server


async def ask(url: str, query: str) -> str:
    """Connect as the service does, and return what a query returns, as text."""
    connection = await Connector(PostgresSettings(url=url)).connect(5)  # type: ignore[arg-type]
    try:
        return str(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_password_of_libpq_s_variable_is_hidden(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = f"postgresql://a%40b%3Ac@127.0.0.1:{postgres.port}/service"
    assert await ask(url, "SELECT current_user") == "a@b:c"
    assert redact(f"AUTH {PASSWORD}") == "AUTH ***"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
@pytest.mark.parametrize("raw", ["", "@:"])
async def test_user_and_password_can_be_escaped(postgres: Postgres, scheme: str, raw: str) -> None:
    url = f"{scheme}://a%40b%3Ac:{quote(PASSWORD, safe=raw)}@127.0.0.1:{postgres.port}/service"
    assert await ask(url, "SELECT current_user") == "a@b:c"


@pytest.mark.parametrize(
    ("parameters", "query", "expected"),
    [
        ("application_name=shop%20two", "SHOW application_name", "shop two"),
        ("fallback_application_name=shop", "SHOW application_name", "shop"),
        ("options=-c%20statement_timeout%3D7s", "SHOW statement_timeout", "7s"),
        ("target_session_attrs=primary", "SELECT pg_is_in_recovery()", "False"),
        ("gssencmode=prefer&client_encoding=utf8&sslmode=disable", "SELECT 'ü'", "ü"),
        ("connect_timeout=5&channel_binding=prefer&sslcompression=0", "SELECT 1", "1"),
        ("sslmode=prefer&sslsni=1&load_balance_hosts=disable", "SELECT 1", "1"),
    ],
)
async def test_parameter_works_as_in_libpq(
    postgres: Postgres, parameters: str, query: str, expected: str
) -> None:
    assert await ask(f"{postgres.url}?{parameters}", query) == expected


async def test_several_hosts_and_an_ipv6_address_work(postgres: Postgres) -> None:
    url = postgres.url.replace("@", "@127.0.0.1:1,[::1]:1,")
    assert await ask(url, "SELECT 1") == "1"


async def test_socket_in_the_file_system_is_used(postgres: Postgres, tmp_path: Path) -> None:
    """The socket leads to the server's port, because the server itself has none."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other, other_writer = await asyncio.open_connection("127.0.0.1", postgres.port)
        await asyncio.gather(copy(reader, other_writer), copy(other, writer))

    credentials = postgres.url.partition("@")[0]
    async with await asyncio.start_unix_server(serve, tmp_path / ".s.PGSQL.5432"):
        for url in (
            f"{credentials}@/service?host={tmp_path}",
            f"{credentials}@localhost:5432/service?host={tmp_path}",
            f"{credentials}@{quote(str(tmp_path), safe='')}/service",
        ):
            assert await ask(url, "SELECT 1") == "1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h/db?host=other&port=7", "postgresql://u:p@other:7/db"),
        ("postgresql://u:p@h:5/db?host=%2Frun", "postgresql://u:p@%2Frun:5/db"),
        ("postgresql://u:p@/db?host=a,::1&port=1,2", "postgresql://u:p@a:1,[::1]:2/db"),
        ("postgresql://u:p@/db?host=a,b&port=6432", "postgresql://u:p@a:6432,b:6432/db"),
    ],
)
def test_hosts_of_parameters_replace_those_before_them(url: str, expected: str) -> None:
    assert parse_url(url).dsn == expected


def test_each_host_of_a_parameter_gets_a_share_of_the_time() -> None:
    url = "postgresql:///db?host=a,[::1]&port=1,2"
    assert parse_url(url.replace("[::1]", "::1")).addresses == (("a", 1), ("::1", 2))


async def test_connect_timeout_bounds_each_host(postgres: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://app@127.0.0.1:{port}/app?sslmode=disable&connect_timeout=1"
        connector = Connector(PostgresSettings(url=url))  # type: ignore[arg-type]
        started = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await connector.connect(60)
        assert asyncio.get_running_loop().time() - started < 30


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 15_000}),
        (
            "?keepalives_idle=30&keepalives_count=0&tcp_user_timeout=9000",
            {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_USER_TIMEOUT": 9000},
        ),
        ("?keepalives=0", {}),
    ],
)
def test_keepalives_are_those_of_the_url(parameters: str, expected: dict[str, int]) -> None:
    assert parse_url(BASE + parameters).socket_options == expected


@pytest.mark.parametrize(
    ("written", "mode"), [("true", "require"), ("false", "disable"), ("prefer", "prefer")]
)
def test_ssl_of_other_programs_is_translated(written: str, mode: str) -> None:
    query = parse_qs(urlsplit(parse_url(f"{BASE}?ssl={written}").dsn).query)
    assert query == {"sslmode": [mode]}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@ep-a-b-1.eu.aws.neon.tech/db?sslmode=require&channel_binding=require",
        "postgresql://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
        "postgres://u:p@c.eu-west-1.rds.amazonaws.com:5432/d",
        "postgres://avnadmin:p@pg-a.aivencloud.com:12345/defaultdb?sslmode=require",
        "postgresql://doadmin:p@db-do-user-1-0.b.db.ondigitalocean.com:25060/d?sslmode=require",
        "postgresql://user%40server:p@server.postgres.database.azure.com/postgres?sslmode=require",
        "postgresql:///app?host=/cloudsql/project:region:instance&user=app&password=p",
    ],
)
def test_url_of_a_managed_database_works_as_it_is(url: str) -> None:
    assert parse_url(url).dsn.startswith("postgresql://")


async def test_connections_name_the_service_and_its_host(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"reference_service@{socket.gethostname()}"[-63:]
    assert await ask(postgres.url, "SHOW application_name") == expected
    monkeypatch.setenv("PGAPPNAME", "mine")
    assert await ask(postgres.url, "SHOW application_name") == "mine"
