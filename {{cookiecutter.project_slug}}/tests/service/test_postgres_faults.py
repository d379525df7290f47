"""Failures of PostgreSQL: what clients get, and what the probes report meanwhile."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import CHECK, NEW, PATH, TABLE
from ..processes import Service, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3  # seconds until an idle service detects a failure
DETECTION_UNDER_TRAFFIC = 1 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5  # seconds for a busy machine and for polling


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests break. Each test repairs it."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, env={"DATABASE_URL": server.url}, check=True, timeout=60)
        yield server


@pytest.fixture
def service(start_service: StartService, postgres: Postgres) -> Service:
    """The service with that database, ready."""
    running = start_service(DATABASE_URL=postgres.url, SERVICE_REQUEST_TIMEOUT=2)
    running.until_ready()
    return running


def test_frozen_database_turns_ready_504_and_recovers_in_time(
    service: Service, postgres: Postgres
) -> None:
    postgres.pause()
    try:
        assert service.until_ready(504) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert service.probe("startup") == 200
        service.until_error("postgres", "TimeoutError")
    finally:
        postgres.resume()
    assert service.until_ready() <= RECOVERY + SLACK


def test_failing_requests_trigger_a_check_within_a_second(
    start_service: StartService, postgres: Postgres
) -> None:
    service = start_service(DATABASE_URL=postgres.url, HEALTH_CHECK_INTERVAL=60)
    service.until_ready()
    postgres.stop()
    try:
        response = service.api.get(PATH)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert service.until_ready(503) <= DETECTION_UNDER_TRAFFIC + SLACK
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK
    wait_until(lambda: service.api.get(PATH).status_code == 200)


def test_service_starts_before_its_database(
    start_service: StartService, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        service = start_service(DATABASE_URL=postgres.url)
        wait_until(lambda: service.probe("startup") == 200)  # every check was tried
        assert (service.probe("live"), service.probe("ready")) == (200, 503)
    finally:
        postgres.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_missing_privileges_fail_requests_and_ready(service: Service, postgres: Postgres) -> None:
    assert service.api.post(PATH, json=NEW).status_code == 201
    postgres.sql(f"ALTER TABLE {TABLE} OWNER TO postgres")
    try:
        assert service.api.post(PATH, json=NEW).status_code == 500
        assert service.until_ready(503) <= DETECTION_UNDER_TRAFFIC + SLACK
        assert service.check(CHECK)["output"] == "insert: InsufficientPrivilegeError"
    finally:
        postgres.sql(f"ALTER TABLE {TABLE} OWNER TO service")
    service.until_ready()
    assert service.api.post(PATH, json=NEW).status_code == 201


def test_commits_that_hang_fail_writes_and_ready(service: Service, postgres: Postgres) -> None:
    postgres.sql("ALTER SYSTEM SET synchronous_standby_names = 'lost'")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: service.api.post(PATH, json=NEW).status_code in {503, 504})
        assert service.until_ready(504) <= DETECTION_UNDER_TRAFFIC + SLACK
        assert service.api.get(PATH).status_code == 200
    finally:
        postgres.sql("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.sql("SELECT pg_reload_conf()")
    assert service.until_ready() <= RECOVERY + SLACK
    assert service.api.post(PATH, json=NEW).status_code == 201
