"""What errors of a real PostgreSQL mean to a request, and which statements are run again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from dev.postgres import Postgres as Server

from reference_service.dependencies.postgres import (
    Postgres,
    PostgresSettings,
    Step,
    check_connection,
    work_check,
)
from reference_service.dependencies.postgres.errors import (
    CannotConnectError,
    CommitUnknownError,
    ConnectionLostError,
    LockTimeoutError,
    PreparedStatementLostError,
    ResourcesExhaustedError,
    StatementTimeoutError,
    TransactionConflictError,
    WriteRefusedError,
)
from reference_service.health import (
    CheckFailed,
    CheckResult,
    Status,
    run_once,
)

from ..processes import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "max_connections": "30",
        "max_locks_per_transaction": "10",
        "max_prepared_transactions": "0",
    }
    with Server(tmp_path_factory.mktemp("postgres"), settings=settings) as server:
        server.sql("CREATE TABLE numbers (n int PRIMARY KEY, v int)")
        server.sql("INSERT INTO numbers SELECT n, 0 FROM generate_series(1, 10) n")
        server.sql("GRANT ALL ON numbers TO service; GRANT CREATE ON SCHEMA public TO service")
        yield server


@pytest.fixture
async def postgres(server: Server) -> AsyncIterator[Postgres]:
    postgres = Postgres(
        PostgresSettings.model_validate({"url": server.url, "pool_size": 3, "pool_timeout": 0.2})
    )
    yield postgres
    await postgres.close()


@pytest.fixture
def failures(postgres: Postgres) -> list[str]:
    """The failures that the client has reported."""
    reported: list[str] = []
    postgres.on_failure(reported.append)
    return reported


def raising(code: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'failed' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("08006", ConnectionLostError),
        ("08P01", ConnectionLostError),
        ("25006", WriteRefusedError),
        ("25P03", ConnectionLostError),
        ("26000", PreparedStatementLostError),
        ("42P05", PreparedStatementLostError),
        ("40001", TransactionConflictError),
        ("40P01", TransactionConflictError),
        ("53000", ResourcesExhaustedError),
        ("53100", ResourcesExhaustedError),
        ("53200", ResourcesExhaustedError),
        ("53300", ResourcesExhaustedError),
        ("53400", ResourcesExhaustedError),
        ("55006", LockTimeoutError),
        ("55P03", LockTimeoutError),
        ("57P01", ConnectionLostError),
        ("57P03", ConnectionLostError),
        ("57P05", ConnectionLostError),
        ("58030", ResourcesExhaustedError),
        ("25P04", StatementTimeoutError),
        ("57014", StatementTimeoutError),
    ],
)
async def test_state_of_the_server_is_reported_and_not_a_bug(
    postgres: Postgres, failures: list[str], code: str, meaning: type[Exception]
) -> None:
    with pytest.raises(meaning):
        await postgres.write(text(raising(code)))
    assert set(failures) == {"postgres"}


@pytest.mark.parametrize(
    "code", ["22012", "23505", "25P02", "40002", "42501", "42P01", "54001", "XX000", "P0001"]
)
async def test_other_errors_are_bugs(postgres: Postgres, failures: list[str], code: str) -> None:
    with pytest.raises(DBAPIError):
        await postgres.write(text(raising(code)))
    assert failures == []


async def test_connection_errors_of_other_libraries_stay_what_they_are(
    postgres: Postgres, failures: list[str]
) -> None:
    async def work(_: AsyncConnection) -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await postgres.transaction(work)
    assert failures == []


async def test_unreachable_server_is_unavailable(server: Server) -> None:
    postgres = Postgres(PostgresSettings.model_validate({"url": "postgresql://a:b@127.0.0.1:1/c"}))
    with pytest.raises(CannotConnectError):
        await postgres.read(text("SELECT 1"))


async def test_wrong_password_is_unavailable(server: Server) -> None:
    url = server.url.replace("service:", "service:x", 1)
    postgres = Postgres(PostgresSettings.model_validate({"url": url}))
    with pytest.raises(CannotConnectError):
        await postgres.read(text("SELECT 1"))


async def test_full_pool_is_reported(postgres: Postgres, failures: list[str]) -> None:
    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 1"))
        held.release()
        await release.wait()

    held, release = asyncio.Semaphore(0), asyncio.Event()
    holders = [asyncio.create_task(postgres.transaction(hold)) for _ in range(3)]
    for _ in range(3):
        await held.acquire()
    with pytest.raises(PoolTimeoutError):
        await postgres.read(text("SELECT 1"))
    assert failures == ["postgres"]
    release.set()
    await asyncio.gather(*holders)


async def test_statement_timeout(postgres: Postgres) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        await connection.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(StatementTimeoutError):
        await postgres.transaction(work)


async def test_lock_timeout(postgres: Postgres) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
        await connection.execute(text("UPDATE numbers SET v = 1 WHERE n = 1"))

    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE numbers SET v = 1 WHERE n = 1"))
        with pytest.raises(LockTimeoutError):
            await postgres.transaction(change)

    await postgres.transaction(hold)


async def test_more_locks_than_the_server_has(postgres: Postgres) -> None:
    async def work(connection: AsyncConnection) -> None:
        for number in range(10_000):
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({number})"))

    with pytest.raises(ResourcesExhaustedError):
        await postgres.transaction(work)


async def test_request_waits_for_a_connection_if_the_server_has_none_left(server: Server) -> None:
    settings = {"url": server.url, "pool_timeout": 60}
    postgres, refused = Postgres(PostgresSettings.model_validate(settings)), asyncio.Event()
    postgres.on_failure(lambda _: refused.set())

    async def hold(connection: AsyncConnection) -> asyncio.Task[Sequence[Row[Any]]]:
        await connection.execute(text("SELECT 1"))
        waiting = asyncio.create_task(postgres.read(text("SELECT 2 AS n")))
        await asyncio.wait_for(refused.wait(), 30)
        return waiting

    server.sql("ALTER ROLE service CONNECTION LIMIT 1")
    try:
        waiting = await postgres.transaction(hold)
        [row] = await waiting
    finally:
        server.sql("ALTER ROLE service CONNECTION LIMIT -1")
        await postgres.close()
    assert row.n == 2


async def test_temporary_file_limit(postgres: Postgres, server: Server) -> None:
    server.sql("ALTER ROLE service SET temp_file_limit = '64kB'")
    try:
        with pytest.raises(ResourcesExhaustedError):
            await postgres.read(text("SELECT n FROM generate_series(1, 1000000) n ORDER BY -n"))
    finally:
        server.sql("ALTER ROLE service RESET temp_file_limit")


async def test_deadlock_is_run_again(postgres: Postgres) -> None:
    both = asyncio.Barrier(2)
    attempts = 0

    async def swap(connection: AsyncConnection, first: int, second: int) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(text(f"UPDATE numbers SET v = v + 1 WHERE n = {first}"))
        if attempts <= 2:
            await both.wait()
        await connection.execute(text(f"UPDATE numbers SET v = v + 1 WHERE n = {second}"))

    await asyncio.gather(
        postgres.transaction(lambda connection: swap(connection, 2, 3)),
        postgres.transaction(lambda connection: swap(connection, 3, 2)),
    )
    assert attempts == 3
    rows = await postgres.read(text("SELECT v FROM numbers WHERE n IN (2, 3)"))
    assert [row.v for row in rows] == [2, 2]


async def test_serialization_failure_is_run_again(postgres: Postgres) -> None:
    attempts = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await connection.execute(text("SELECT v FROM numbers WHERE n = 4"))
        if attempts == 1:
            await postgres.write(text("UPDATE numbers SET v = 10 WHERE n = 4"))
        await connection.execute(text("UPDATE numbers SET v = v + 1 WHERE n = 4"))

    await postgres.transaction(work)
    assert attempts == 2
    [row] = await postgres.read(text("SELECT v FROM numbers WHERE n = 4"))
    assert row.v == 11


async def test_transaction_whose_connection_is_lost_before_its_commit_is_run_again(
    postgres: Postgres, server: Server
) -> None:
    attempts = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(text("UPDATE numbers SET v = v + 1 WHERE n = 5"))
        if attempts == 1:
            await asyncio.to_thread(end_sessions, server)
            await connection.execute(text("SELECT 1"))

    await postgres.transaction(work)
    assert attempts == 2
    [row] = await postgres.read(text("SELECT v FROM numbers WHERE n = 5"))
    assert row.v == 1


async def test_transaction_that_loses_its_connection_each_time_is_unavailable(
    postgres: Postgres, server: Server
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 1"))
        await asyncio.to_thread(end_sessions, server)
        await connection.execute(text("SELECT 1"))

    with pytest.raises(ConnectionLostError):
        await postgres.transaction(work)


async def test_lost_commit_is_not_run_again(postgres: Postgres, server: Server) -> None:
    attempts = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(text("UPDATE numbers SET v = v + 1 WHERE n = 6"))
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
        server.sql("SELECT pg_reload_conf()")
        await eventually(commits_hang)
        asyncio.get_running_loop().create_task(end_commit())

    async def commits_hang() -> bool:
        """The server applies the setting some time after it was reloaded."""
        observer = await asyncpg.connect(server.admin_url)
        try:
            await observer.execute("SELECT pg_logical_emit_message(true, 'test', '')", timeout=0.5)
        except TimeoutError:
            return True
        finally:
            observer.terminate()
        return False

    async def end_commit() -> None:
        waiting = "wait_event = 'SyncRep' AND usename = 'service'"
        query = f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}"

        async def waits() -> bool:
            return await asyncio.to_thread(server.sql, query) == "1"

        await eventually(waits)
        await asyncio.to_thread(end_sessions, server)

    try:
        with pytest.raises(CommitUnknownError):
            await postgres.transaction(work)
    finally:
        server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        server.sql("SELECT pg_reload_conf()")
    assert attempts == 1


def end_sessions(server: Server) -> None:
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'")


async def test_read_after_a_changed_column_type_is_run_again(
    postgres: Postgres, server: Server
) -> None:
    server.sql("CREATE TABLE changing (name text); INSERT INTO changing VALUES ('a')")
    server.sql("GRANT ALL ON changing TO service")
    query = text("SELECT * FROM changing")
    for kind in ("varchar(9)", "text", "varchar(8)"):
        assert len(await postgres.read(query)) == 1
        server.sql(f"ALTER TABLE changing ALTER COLUMN name TYPE {kind}")


async def test_commit_passes_on_a_server_that_does_not_know_the_function(
    postgres: Postgres, server: Server
) -> None:
    server.sql("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM public")
    try:
        check = next(check for check in postgres.checks() if check.name == "postgres.write")
        result = await run_once(check)
        assert result is not None
        assert "commits are not proven" in result.detail
    finally:
        server.sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog TO public")


@pytest.mark.parametrize(
    "privilege",
    [
        "SELECT ON pg_stat_activity",
        "EXECUTE ON FUNCTION pg_stat_get_activity",
        "EXECUTE ON FUNCTION pg_postmaster_start_time",
    ],
)
async def test_server_passes_without_a_privilege_that_requests_do_not_need(
    postgres: Postgres, server: Server, privilege: str
) -> None:
    server.sql(f"REVOKE {privilege} FROM public")
    try:
        check = next(check for check in postgres.checks() if check.name == "postgres")
        result = await run_once(check)
        assert result is not None
        assert result.data == {"in_recovery": False, "read_only": False}
    finally:
        server.sql(f"GRANT {privilege} TO public")


@pytest.mark.parametrize(
    ("statement", "detail", "permanent"),
    [
        ("SELECT * FROM missing", "read: UndefinedTableError", True),
        ("SELECT missing FROM numbers", "read: UndefinedColumnError", True),
        ("SELECT 1 / 0", "read: DivisionByZeroError", False),
        (raising("53100"), "read: DiskFullError", False),
        (raising("57014"), "read: QueryCanceledError", False),
    ],
)
async def test_check_names_the_step_that_failed_and_the_error(
    postgres: Postgres, statement: str, detail: str, permanent: bool
) -> None:
    async def steps(step: Step) -> None:
        await step("read", text(statement))

    with pytest.raises(CheckFailed) as failed:
        await run_once(work_check("numbers", postgres, steps))
    assert (failed.value.detail, failed.value.permanent) == (detail, permanent)


async def test_check_changes_nothing(postgres: Postgres) -> None:
    async def steps(step: Step) -> None:
        await step("insert", text("INSERT INTO numbers VALUES (99, 0)"))
        assert (await step("read", text("SELECT 1 FROM numbers WHERE n = 99"))).all()

    await run_once(work_check("numbers", postgres, steps))
    assert await postgres.read(text("SELECT 1 FROM numbers WHERE n = 99")) == []


async def test_check_waits_for_a_lock_for_half_a_second(postgres: Postgres, server: Server) -> None:
    async def steps(step: Step) -> None:
        await step("read", text("SELECT * FROM numbers"))

    locker = await asyncpg.connect(server.admin_url)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE numbers")
            with pytest.raises(CheckFailed, match="read: LockNotAvailableError"):
                await run_once(work_check("numbers", postgres, steps))
    finally:
        await locker.close()


@pytest.fixture
def expire(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes the connections of the checks too old."""
    return lambda: monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)


async def checked(postgres: Postgres) -> CheckResult:
    """Run the check of the server until an attempt to replace its connection has ended."""
    check = next(check for check in postgres.checks() if check.name == "postgres")
    result = await run_once(check)

    async def has_warned() -> bool:
        nonlocal result
        result = await run_once(check)
        return result is not None and result.status is Status.WARN

    with contextlib.suppress(AssertionError):
        await eventually(has_warned, within=2)
    assert result is not None
    return result


async def test_changed_password_warns_while_open_connections_work(
    postgres: Postgres, server: Server, expire: Callable[[], None]
) -> None:
    await postgres.read(text("SELECT 1"))
    check = next(check for check in postgres.checks() if check.name == "postgres")
    await run_once(check)
    expire()
    password = server.url.split(":")[2].split("@")[0]
    server.sql("ALTER ROLE service PASSWORD 'other'")
    try:
        result = await checked(postgres)
        assert (result.status, "InvalidPasswordError" in result.detail) == (Status.WARN, True)
        assert await postgres.read(text("SELECT 1"))
    finally:
        server.sql(f"ALTER ROLE service PASSWORD '{password}'")


async def test_full_server_warns_while_open_connections_work(
    postgres: Postgres, server: Server, expire: Callable[[], None]
) -> None:
    await postgres.read(text("SELECT 1"))
    check = next(check for check in postgres.checks() if check.name == "postgres")
    await run_once(check)
    server.sql("ALTER ROLE service CONNECTION LIMIT 2")
    expire()
    try:
        result = await checked(postgres)
        assert (result.status, "TooManyConnectionsError" in result.detail) == (Status.WARN, True)
        assert await postgres.read(text("SELECT 1"))
    finally:
        server.sql("ALTER ROLE service CONNECTION LIMIT -1")
