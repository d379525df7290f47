"""Behind PgBouncer in transaction mode, where two statements can reach different sessions."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dev.ports import free_port
from dev.postgres import Postgres
from dev.process import Process

from ..conftest import StartService
from ..domain import NEW, PATH, TABLE
from ..processes import wait_until
from ..tools import tool

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={target} pool_size=4
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
unix_socket_dir =
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def url(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the pooler, after the migrations ran through it twice."""
    folder, port = tmp_path_factory.mktemp("pgbouncer"), free_port()
    password = postgres.url.split(":")[2].split("@")[0]
    configuration = CONFIGURATION.format(target=postgres.port, port=port, folder=folder)
    (folder / "pgbouncer.ini").write_text(configuration)
    (folder / "users").write_text(f'"service" "{password}"\n')
    with (folder / "log").open("wb") as log, Process(command(folder), output=log):
        url = postgres.url.replace(f":{postgres.port}/", f":{port}/")
        wait_until(lambda: migrate(url).returncode == 0)
        assert migrate(url).returncode == 0
        yield url


def command(folder: Path) -> list[str]:
    program = [tool("pgbouncer"), str(folder / "pgbouncer.ini")]
    as_nobody = ["unshare", "--user", "--map-user=65534", "--"]  # it refuses to run as root
    return program if os.geteuid() else [*as_nobody, *program]


def migrate(url: str, prepared_statements: str = "false") -> subprocess.CompletedProcess[str]:
    environment = {"DATABASE_URL": url, "DATABASE_PREPARED_STATEMENTS": prepared_statements}
    arguments = [sys.executable, "-m", "alembic", "upgrade", "head"]
    return subprocess.run(
        arguments, env=environment, capture_output=True, check=False, text=True, timeout=90
    )


async def outcomes(service_url: str) -> Counter[int]:
    """Return how many of 400 requests of 20 clients got each status."""
    async with httpx.AsyncClient(base_url=service_url, timeout=30) as client:

        async def use() -> list[int]:
            codes = []
            for _ in range(10):
                codes.append((await client.post(PATH, json=NEW)).status_code)
                codes.append((await client.get(PATH)).status_code)
            return codes

        return Counter(
            code for codes in await asyncio.gather(*(use() for _ in range(20))) for code in codes
        )


async def test_requests_and_checks_succeed_without_prepared_statements(
    start_service: StartService, url: str
) -> None:
    service = start_service(DATABASE_URL=url, DATABASE_PREPARED_STATEMENTS="false")
    service.until_ready()
    assert await outcomes(service.url) == {201: 200, 200: 200}
    assert service.probe("ready") == 200


async def test_lost_prepared_statements_are_reported_with_the_setting(
    start_service: StartService, url: str
) -> None:
    service = start_service(DATABASE_URL=url, HEALTH_POSTGRES_IMPACT="warn")
    codes = await outcomes(service.url)
    assert codes[503] > 0
    assert codes[500] == 0
    message = "prepared statement lost; set DATABASE_PREPARED_STATEMENTS=false for a pooler"
    assert len(service.records(message)) == 1
    wait_until(lambda: service.check("requests").get("error") == "RequestsFailing", within=5)


def test_migrations_leave_no_lock_and_no_setting_on_the_sessions(
    postgres: Postgres, url: str
) -> None:
    assert migrate(url).returncode == 0
    assert postgres.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    direct = migrate(postgres.url, "true")
    assert direct.returncode == 0, direct.stderr
    assert postgres.sql(f"SELECT to_regclass('{TABLE}')") == TABLE
