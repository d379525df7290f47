"""`ready` agrees with clients when the server is up and its core work fails."""

from collections.abc import Iterator

import pytest

from dev.postgres import Postgres

from ..conftest import StartService
from ..domain import NEW, PATH, TABLE
from ..processes import Service, wait_until
from .postgres_server import migrate, setting
from .small_disk import SmallDisk, require_small_disk

BOUND = 1 + 3 * 0.5 + 0.3 + 2
"""Maximum seconds until failing requests turn `ready` red, on a busy machine."""
RECOVERY = 2 + 1.5


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database that the tests break. Each test repairs it."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        migrate(server)
        yield server


@pytest.fixture
def service(start_service: StartService, postgres: Postgres) -> Service:
    running = start_service(DATABASE_URL=postgres.url, SERVICE_REQUEST_TIMEOUT=2)
    running.until_ready()
    return running


def post(service: Service) -> int:
    return service.api.post(PATH, json=NEW).status_code


def get(service: Service) -> int:
    return service.api.get(PATH).status_code


def test_full_disk_turns_ready_503_and_writes_503(
    start_service: StartService, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require_small_disk()
    with SmallDisk(tmp_path_factory.mktemp("small")) as postgres:
        migrate(postgres)
        postgres.move(TABLE)
        service = start_service(DATABASE_URL=postgres.url)
        service.until_ready()
        postgres.fill(TABLE)
        wait_until(lambda: post(service) == 503)
        assert service.until_ready(503) <= BOUND
        assert service.check("items")["output"] == "insert: DiskFullError"
        assert get(service) == 200
        postgres.free()
        assert service.until_ready() <= RECOVERY
        assert post(service) == 201


@pytest.mark.parametrize("privilege", ["SELECT", "INSERT", "UPDATE", "DELETE"])
def test_revoked_privilege_turns_ready_503_at_once(
    service: Service, postgres: Postgres, privilege: str
) -> None:
    owner = postgres.sql(f"SELECT tableowner FROM pg_tables WHERE tablename = '{TABLE}'")
    postgres.sql(f"ALTER TABLE {TABLE} OWNER TO postgres; GRANT ALL ON {TABLE} TO service")
    postgres.sql(f"REVOKE {privilege} ON {TABLE} FROM service")
    try:
        codes = {get(service), post(service)}
        codes.add(
            service.api.patch(f"{PATH}/00000000-0000-0000-0000-000000000000", json=NEW).status_code
        )
        codes.add(service.api.delete(f"{PATH}/00000000-0000-0000-0000-000000000000").status_code)
        assert 500 in codes
        assert service.until_ready(503) <= 1 + 2
        service.until_error("items", "OperationRejected")
    finally:
        postgres.sql(f"ALTER TABLE {TABLE} OWNER TO {owner}; GRANT ALL ON {TABLE} TO {owner}")
    service.until_ready(within=5 + 2)


def test_commits_that_hang_turn_ready_504_and_leave_no_session(
    service: Service, postgres: Postgres
) -> None:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'"
    assert get(service) == 200
    before = int(postgres.sql(sessions))
    with setting(postgres, "synchronous_standby_names", "ghost"):
        wait_until(lambda: post(service) in {503, 504})  # as the check or the timeout is first
        assert service.until_ready(504) <= BOUND
        service.until_error("postgres.write", "TimeoutError")
        assert service.check("postgres")["status"] == "pass"
        assert get(service) == 200
        most, red = 0, True

        def for_a_while() -> bool:
            nonlocal most, red
            most = max(most, int(postgres.sql(sessions)))
            red = red and service.probe("ready") == 504
            return int(service.check("postgres.write")["consecutiveFailures"]) >= 12

        wait_until(for_a_while)
        assert red
        assert most <= before + 2
    assert service.until_ready() <= RECOVERY
    assert post(service) == 201
    wait_until(lambda: int(postgres.sql(sessions)) <= before + 1)
