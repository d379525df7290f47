"""The URL of Redis in a file: a new password needs no restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from dev.valkey import Valkey

from ..conftest import StartService
from ..processes import Service, wait_until

OLD, NEW = "old-hunter2", "new-hunter2"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server with a password."""
    with Valkey(tmp_path / "valkey", settings={"requirepass": OLD}) as server:
        yield server


@pytest.fixture
def file(valkey: Valkey, tmp_path: Path) -> Path:
    """The file with the URL."""
    path = tmp_path / "url"
    path.write_text(f"{valkey.url}\n")
    return path


@pytest.fixture
def service(start_service: StartService, file: Path) -> Service:
    running = start_service(
        REDIS_URL="",
        REDIS_URL_FILE=file,
        REDIS_SENTINELS="",  # feature: sentinel
        HEALTH_CHECK_INTERVAL=0.2,
    )
    wait_until(lambda: running.check("redis")["status"] == "pass")
    return running


def test_new_password_is_read_from_the_file(service: Service, valkey: Valkey, file: Path) -> None:
    with Redis.from_url(valkey.url) as admin:
        admin.config_set("requirepass", NEW)
        file.write_text(file.read_text().replace(OLD, NEW))
        admin.client_kill_filter(_type="normal", skipme=True)
    attempts = service.check("redis")["attempts"]
    wait_until(lambda: service.check("redis")["attempts"] > attempts + 2)
    wait_until(lambda: service.check("redis")["status"] == "pass")
    for text in (service.log.read_text(), service.management.get("/health").text):
        assert OLD not in text
        assert NEW not in text


def test_url_that_cannot_be_read_leaves_the_password_as_it_was(
    service: Service, valkey: Valkey, file: Path
) -> None:
    file.write_text("mysql://app:hunter2@127.0.0.1")
    with Redis.from_url(valkey.url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    attempts = service.check("redis")["attempts"]
    wait_until(lambda: service.check("redis")["attempts"] > attempts + 2)
    wait_until(lambda: service.check("redis")["status"] == "pass")
