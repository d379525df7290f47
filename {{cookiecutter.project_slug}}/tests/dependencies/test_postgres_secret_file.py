"""The database's URL in a file: a new password needs no restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import PATH
from ..processes import Service, wait_until
from .postgres_server import migrate

NEW_PASSWORD = "rotated-hunter2"
SESSIONS = "FROM pg_stat_activity WHERE usename = 'service'"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture
def file(postgres: Postgres, tmp_path: Path) -> Path:
    """The file with the URL."""
    path = tmp_path / "url"
    path.write_text(f"{postgres.url}\n")
    return path


@pytest.fixture
def service(start_service: StartService, file: Path) -> Service:
    running = start_service(DATABASE_URL="", DATABASE_URL_FILE=file, HEALTH_CHECK_INTERVAL=0.2)
    running.until_ready()
    return running


def reconnect(service: Service, postgres: Postgres) -> None:
    """End every session of the service, and wait until it has new ones that work."""
    sessions = set(postgres.sql(f"SELECT pid {SESSIONS}").split())
    postgres.sql(f"SELECT pg_terminate_backend(pid) {SESSIONS}")

    def has_reconnected() -> bool:
        succeeds = service.api.get(PATH).status_code == 200
        now = set(postgres.sql(f"SELECT pid {SESSIONS}").split())
        return succeeds and len(now) > 1 and not now & sessions

    wait_until(has_reconnected)
    service.until_ready()


def test_new_password_is_read_from_the_file(
    service: Service, postgres: Postgres, file: Path
) -> None:
    old = postgres.url.split(":")[2].split("@")[0]
    try:
        postgres.sql(f"ALTER ROLE service PASSWORD '{NEW_PASSWORD}'")
        file.write_text(postgres.url.replace(f":{old}@", f":{NEW_PASSWORD}@"))
        reconnect(service, postgres)
    finally:
        postgres.sql(f"ALTER ROLE service PASSWORD '{old}'")
    assert NEW_PASSWORD not in service.log.read_text()
    assert NEW_PASSWORD not in service.management.get("/health").text


@pytest.mark.parametrize("content", ["", "mysql://app:hunter2@127.0.0.1/app", None])
def test_file_that_cannot_be_used_leaves_the_url_as_it_was(
    service: Service, postgres: Postgres, file: Path, content: str | None
) -> None:
    file.unlink()
    if content is not None:
        file.write_text(content)
    reconnect(service, postgres)
    message = "the new DATABASE_URL cannot be used; the previous one is"
    assert (message in service.log.read_text()) == bool(content)
    assert "hunter2" not in service.log.read_text()
