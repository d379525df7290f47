"""MariaDB servers that are broken, what a client gets, and what the checks report."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiomysql  # type: ignore[import-untyped]
import pymysql  # type: ignore[import-untyped]
import pytest

from patterns.checks import mariadb as pattern
from patterns.checks.mariadb import (
    AccessDenied,
    ReadOnly,
    ReplicaOutdated,
    ServerError,
    TooManyConnections,
    primary_check,
    replica_check,
)
from patterns.health import Check, CheckResult, Status, run_once

from ..processes import eventually, wait_until
from .mariadb import SETUP, MariaDB

Statements = tuple[str, ...]


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with MariaDB(tmp_path_factory.mktemp("primary")) as server:
        yield server


@pytest.fixture(scope="module")
def replica(primary: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    settings = {"read-only": "ON", "slave-net-timeout": "2"}
    with MariaDB(tmp_path_factory.mktemp("replica"), settings=settings) as server:
        server.sql("SET GLOBAL gtid_slave_pos = ''", follow(primary), "START SLAVE")
        yield server


def follow(primary: MariaDB) -> str:
    primary.sql("CREATE USER IF NOT EXISTS copy@'127.0.0.1' IDENTIFIED BY 'secret'")
    primary.sql("GRANT REPLICATION SLAVE ON *.* TO copy@'127.0.0.1'")
    primary.sql("TRUNCATE shop.orders", "RESET MASTER")
    return (
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, "
        "MASTER_USER='copy', MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos, "
        "MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=0.5"
    )


Factory = Callable[..., Check]


@contextlib.asynccontextmanager
async def checking(server: MariaDB, factory: Factory = primary_check) -> AsyncIterator[Check]:
    """A check of the server, whose connections end with the block."""
    opened: list[Any] = []

    async def connect() -> Any:
        options = {"user": "shop", "password": "secret", "db": "shop", "autocommit": True}
        opened.append(await aiomysql.connect("127.0.0.1", port=server.port, **options))
        return opened[-1]

    try:
        yield factory(connect)
    finally:
        for connection in opened:
            connection.close()


async def attempt(check: Check, within: float = 10.0) -> CheckResult:
    """Make an attempt as the engine does: abandon it after its timeout."""
    async with asyncio.timeout(within):
        return await run_once(check)


def place_order(server: MariaDB, patience: float = 10.0) -> None:
    """Do what a client does. Raises pymysql.Error."""
    with server.connect(patience=patience) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop.orders VALUES (NULL)")


def read_orders(server: MariaDB) -> int:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop.orders")
        return int(cursor.fetchone()[0])


class Row(NamedTuple):
    """What breaks and repairs a primary, the code that a client gets, and the check's error."""

    breaks: Statements
    repairs: Statements
    client: int
    check: type[Exception]


LOST_CONNECTION = 2013  # the client's own timeout
ROWS = {
    "read-only": Row(("SET GLOBAL read_only = 1",), ("SET GLOBAL read_only = 0",), 1290, ReadOnly),
    "commits wait for a replica that is gone": Row(
        (
            "SET GLOBAL rpl_semi_sync_master_timeout = 100000",
            "SET GLOBAL rpl_semi_sync_master_enabled = 1",
        ),
        ("SET GLOBAL rpl_semi_sync_master_enabled = 0",),
        LOST_CONNECTION,
        TimeoutError,
    ),
    "privilege is revoked": Row(
        ("REVOKE INSERT ON shop.* FROM shop@'127.0.0.1'",),
        ("GRANT INSERT ON shop.* TO shop@'127.0.0.1'",),
        1142,
        AccessDenied,
    ),
    "user is locked out": Row(
        ("ALTER USER shop@'127.0.0.1' IDENTIFIED BY 'other'",),
        ("ALTER USER shop@'127.0.0.1' IDENTIFIED BY 'secret'",),
        1045,
        AccessDenied,
    ),
    "user has too many connections": Row(
        ("ALTER USER shop@'127.0.0.1' WITH MAX_CONNECTIONS_PER_HOUR 1",),
        ("ALTER USER shop@'127.0.0.1' WITH MAX_CONNECTIONS_PER_HOUR 0", "FLUSH USER_RESOURCES"),
        1226,
        TooManyConnections,
    ),
    "tablespace is missing": Row(
        ("ALTER TABLE shop.orders DISCARD TABLESPACE", "DROP TABLE shop.health_check"),
        ("DROP TABLE shop.orders", SETUP[1], SETUP[2]),
        1814,
        ServerError,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_check_fails_when_clients_cannot_write(primary: MariaDB, row: Row) -> None:
    patience = 1.0 if row.check is TimeoutError else 10.0
    async with checking(primary) as check:
        assert (await attempt(check)).status is Status.PASS
        place_order(primary)
    try:
        primary.sql(*row.breaks)
        if row.check is TooManyConnections:
            place_order(primary)
        with pytest.raises(pymysql.Error) as error:
            await asyncio.to_thread(place_order, primary, patience)
        async with checking(primary) as check:
            with pytest.raises(row.check):
                await attempt(check, patience)
    finally:
        primary.sql(*row.repairs)
    async with checking(primary) as check:
        assert (await attempt(check)).status is Status.PASS
    place_order(primary)
    assert error.value.args[0] == row.client


async def test_server_without_free_connections_fails_new_clients_only(primary: MariaDB) -> None:
    async with checking(primary) as open_check, checking(primary) as new_check:
        await attempt(open_check)
        with exhausted(primary):
            with pytest.raises(pymysql.Error) as error:
                await asyncio.to_thread(place_order, primary)
            assert error.value.args[0] == 1040
            with pytest.raises(TooManyConnections):
                await attempt(new_check)
            assert (await attempt(open_check)).status is Status.PASS
        assert (await attempt(new_check)).status is Status.PASS


async def test_open_connection_of_a_full_server_warns(
    primary: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, "RECONNECT_INTERVAL", 0.0)
    async with checking(primary) as check:
        await attempt(check)
        with exhausted(primary):
            result = await attempt(check)
        assert (result.status, result.data) == (Status.WARN, {"role": "primary"})
        assert (await attempt(check)).status is Status.PASS


def connect_or_none(server: MariaDB) -> Any:
    try:
        return server.connect()
    except pymysql.OperationalError:
        return None


@contextlib.contextmanager
def exhausted(server: MariaDB) -> Iterator[None]:
    """Use every connection of a server, but for the one of the administrator."""
    with contextlib.ExitStack() as clients:
        administrator = clients.enter_context(server.connect("root", ""))
        with administrator.cursor() as cursor:
            cursor.execute("SET GLOBAL max_connections = 10")
            try:
                while connection := connect_or_none(server):
                    clients.enter_context(connection)
                yield
            finally:
                cursor.execute("SET GLOBAL max_connections = 151")


async def test_changed_password_fails_after_a_minute(
    primary: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with checking(primary) as check:
        await attempt(check)
        primary.sql("ALTER USER shop@'127.0.0.1' IDENTIFIED BY 'other'")
        try:
            assert (await attempt(check)).status is Status.PASS
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + 61)
            with pytest.raises(AccessDenied):
                await run_once(check)
        finally:
            primary.sql("ALTER USER shop@'127.0.0.1' IDENTIFIED BY 'secret'")


async def test_commits_that_hang_hold_one_session(primary: MariaDB) -> None:
    async with checking(primary) as check:
        await attempt(check)
        primary.sql(*ROWS["commits wait for a replica that is gone"].breaks)
        try:
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await attempt(check, within=0.1)
            assert sessions(primary) == 1
        finally:
            primary.sql(*ROWS["commits wait for a replica that is gone"].repairs)
        assert (await attempt(check)).status is Status.PASS


async def test_commit_that_hangs_for_long_gets_another_connection(
    primary: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, "REPLACE_AFTER", 0.1)
    async with checking(primary) as check:
        await attempt(check)
        with primary.connect("root", "") as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES shop.health_check WRITE")
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await attempt(check, within=0.3)
            assert sessions(primary) == 2
        assert (await attempt(check)).status is Status.PASS


def sessions(server: MariaDB) -> int:
    """Return the number of sessions of the user `shop`."""
    with server.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE user = 'shop'")
        return int(cursor.fetchone()[0])


async def test_checks_of_many_replicas_do_not_block_each_other(primary: MariaDB) -> None:
    async with contextlib.AsyncExitStack() as stack:
        checks = [await stack.enter_async_context(checking(primary)) for _ in range(20)]
        for _ in range(20):
            results = await asyncio.gather(*(attempt(check, 5) for check in checks))
            assert {result.status for result in results} == {Status.PASS}


@pytest.mark.parametrize("outage", [MariaDB.pause, MariaDB.kill])
async def test_server_that_does_not_respond_fails(
    tmp_path: Path, outage: Callable[[MariaDB], None]
) -> None:
    with MariaDB(tmp_path) as server:
        async with checking(server) as check:
            await attempt(check)
            outage(server)
            with pytest.raises(pymysql.Error):
                await asyncio.to_thread(place_order, server, patience=1.0)
            with pytest.raises((TimeoutError, ServerError)):
                await attempt(check, within=1.0)
            server.resume() if server.is_running else server.start()
            await asyncio.to_thread(wait_until, lambda: read_orders(server) == 0)
            assert (await attempt(check)).status is Status.PASS


class ReplicaRow(NamedTuple):
    """What breaks and repairs a replica."""

    breaks: Statements
    repairs: Statements


REPLICA_ROWS = {
    "does not receive": ReplicaRow(("STOP SLAVE IO_THREAD",), ("START SLAVE",)),
    "does not apply": ReplicaRow(("STOP SLAVE SQL_THREAD",), ("START SLAVE",)),
    "cannot apply": ReplicaRow(
        ("RENAME TABLE shop.orders TO shop.moved",),
        ("RENAME TABLE shop.moved TO shop.orders", "START SLAVE"),
    ),
    "lags": ReplicaRow(
        ("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 600", "START SLAVE"),
        ("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 0", "START SLAVE"),
    ),
}


async def has_failed(check: Check) -> bool:
    try:
        await attempt(check)
    except ReplicaOutdated:
        return True
    return False


def up_to_date(replica: MariaDB, primary: MariaDB) -> bool:
    return read_orders(replica) == read_orders(primary)


@pytest.mark.parametrize("row", REPLICA_ROWS.values(), ids=REPLICA_ROWS)
async def test_replica_check_fails_when_reads_are_old(
    primary: MariaDB, replica: MariaDB, row: ReplicaRow
) -> None:
    def factory(connect: pattern.Connect) -> Check:
        return replica_check(connect, max_lag=1)

    place_order(primary)
    await asyncio.to_thread(wait_until, lambda: up_to_date(replica, primary))
    async with checking(replica, factory) as check:
        assert (await attempt(check)).data == {"receiving": "Yes", "applying": "Yes", "lag": 0}
        replica.sql(*row.breaks)
        try:
            place_order(primary)
            await eventually(lambda: has_failed(check))
            with contextlib.suppress(pymysql.ProgrammingError):  # the table is missing
                assert not up_to_date(replica, primary)
        finally:
            replica.sql(*row.repairs)
        await asyncio.to_thread(wait_until, lambda: up_to_date(replica, primary))
        assert (await attempt(check)).status is Status.PASS


async def test_primary_that_hangs_fails_the_replica_after_its_timeout(
    primary: MariaDB, replica: MariaDB
) -> None:
    async with checking(replica, replica_check) as check:
        await attempt(check)
        primary.pause()
        try:
            await eventually(lambda: has_failed(check))  # slave-net-timeout is 2 s
        finally:
            primary.resume()
        await asyncio.to_thread(wait_until, lambda: up_to_date(replica, primary))


async def test_server_that_is_not_a_replica_fails(primary: MariaDB) -> None:
    async with checking(primary, replica_check) as check:
        with pytest.raises(ReplicaOutdated):
            await attempt(check)


async def test_lag_that_the_user_may_not_read_warns(replica: MariaDB) -> None:
    replica.sql("REVOKE SLAVE MONITOR ON *.* FROM shop@'127.0.0.1'")
    try:
        read_orders(replica)
        async with checking(replica, replica_check) as check:
            result = await attempt(check)
        detail = "the lag is unknown: a privilege is missing"
        assert (result.status, result.detail) == (Status.WARN, detail)
    finally:
        replica.sql("GRANT SLAVE MONITOR ON *.* TO shop@'127.0.0.1'")


async def test_connection_that_fails_after_its_attempt_was_abandoned_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends, ended = asyncio.Event(), asyncio.Event()

    async def connect() -> Any:
        await ends.wait()
        ended.set()
        raise pymysql.err.OperationalError(2003, "the server is away")

    check = primary_check(connect)
    with pytest.raises(TimeoutError):
        await attempt(check, within=0.1)
    ends.set()
    async with asyncio.timeout(10):
        await ended.wait()
    del check
    await asyncio.sleep(0)  # the task ends
    gc.collect()  # asyncio logs when it deletes a task whose exception nobody has asked for
    assert not caplog.messages
