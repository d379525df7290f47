"""The check of a domain fails if what it did would not outlast a commit."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import column, table

from dev.postgres import Postgres as Server

from reference_service.dependencies.postgres import (
    CHECK_CONSTRAINTS,
    Postgres,
    PostgresSettings,
    Step,
    work_check,
)
from reference_service.health import CheckFailed, run_once

NUMBERS = table("numbers", column("n"))
BROKEN = """
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
    CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION broken()
    """
DEFERRED = "CONSTRAINT TRIGGER broken AFTER {} ON numbers DEFERRABLE INITIALLY DEFERRED"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("postgres")) as server:
        server.sql("CREATE TABLE numbers (n int)")
        server.sql("GRANT ALL ON numbers TO service")
        yield server


@pytest.fixture
async def postgres(server: Server) -> AsyncIterator[Postgres]:
    postgres = Postgres(PostgresSettings.model_validate({"url": server.url}))
    yield postgres
    await postgres.close()


async def steps(step: Step) -> None:
    await step("insert", NUMBERS.insert().values(n=1))
    await step("update", NUMBERS.update().values(n=2))
    await step("constraints", CHECK_CONSTRAINTS)
    await step("delete", NUMBERS.delete())


@pytest.mark.parametrize(
    ("trigger", "body", "detail"),
    [
        (
            "TRIGGER broken BEFORE INSERT ON numbers",
            "RETURN NULL;",
            "insert: no row was changed",
        ),
        (
            "TRIGGER broken BEFORE UPDATE ON numbers",
            "RETURN NULL;",
            "update: no row was changed",
        ),
        (
            "TRIGGER broken BEFORE DELETE ON numbers",
            "RETURN NULL;",
            "delete: no row was changed",
        ),
        (
            DEFERRED.format("INSERT"),
            "RAISE EXCEPTION USING ERRCODE = '23514';",
            "constraints: CheckViolationError",
        ),
        (
            DEFERRED.format("UPDATE"),
            "PERFORM pg_sleep(3); RETURN NULL;",
            "constraints: QueryCanceledError",
        ),
    ],
)
async def test_check_fails_if_a_commit_would_fail_or_change_nothing(
    postgres: Postgres, server: Server, trigger: str, body: str, detail: str
) -> None:
    check = work_check("numbers", postgres, steps)
    server.sql(BROKEN.format(trigger=trigger, body=body))
    try:
        with pytest.raises(CheckFailed) as failed:
            await run_once(check)
    finally:
        server.sql("DROP FUNCTION broken CASCADE")
    assert failed.value.detail == detail
    await run_once(check)
