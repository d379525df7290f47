"""The connection of the checks: when it is opened, kept, replaced and closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from reference_service.dependencies.postgres import check_connection
from reference_service.dependencies.postgres.check_connection import (
    CheckConnection,
)

TIMEOUT = 0.05
"""Seconds of an attempt, after which it is abandoned."""


class Server:
    """Opens connections while `open` is set. Each query returns the connection's number."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.responds = True

    async def connect(self, _: float) -> Any:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.opened.append(Connection(len(self.opened) + 1, responds=self.responds))
        return self.opened[-1]

    def in_use(self) -> list[int]:
        return [opened.number for opened in self.opened if not opened.closed]


class Connection:
    """Its queries hang while `responds` is not set."""

    def __init__(self, number: int, *, responds: bool) -> None:
        self.number = number
        self.closed = False
        self.canceled = 0
        self.error: Exception | None = None
        self.responds = asyncio.Event()
        if responds:
            self.responds.set()

    async def fetchrow(self, _: str) -> int:
        try:
            await self.responds.wait()
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.number

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - as asyncpg's
        assert timeout
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed


async def attempt(connection: CheckConnection) -> Any:
    """Send a query as a monitor does: the attempt is abandoned after a timeout."""
    async with asyncio.timeout(TIMEOUT):
        return await connection.fetch_row("SELECT 1")


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_connection, "HUNG_AFTER", TIMEOUT / 4)


@pytest.fixture
def expire(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes every open connection too old."""
    return lambda: monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)


async def test_connection_that_opens_slowly_is_used_by_a_later_attempt() -> None:
    server = Server()
    server.open.clear()
    connection = CheckConnection(server.connect)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await attempt(connection)
    server.open.set()
    assert await attempt(connection) == 1
    assert server.in_use() == [1]


async def test_connection_is_reused_until_it_is_closed() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    assert [await attempt(connection) for _ in range(3)] == [1, 1, 1]
    server.opened[0].error = ValueError("an error of the statement")
    with pytest.raises(ValueError, match="statement"):
        await attempt(connection)
    server.opened[0].error = None
    assert await attempt(connection) == 1
    server.opened[0].closed = True
    assert await attempt(connection) == 2
    assert server.in_use() == [2]


async def test_checks_use_the_connection_in_turn() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    assert await asyncio.gather(*(attempt(connection) for _ in range(3))) == [1, 1, 1]
    assert server.in_use() == [1]


async def test_abandoned_query_goes_on_and_the_connection_is_used_again() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    server.opened[0].responds.clear()
    server.open.clear()
    with pytest.raises(TimeoutError):
        await attempt(connection)
    assert server.opened[0].canceled == 0
    server.opened[0].responds.set()
    assert await attempt(connection) == 1
    server.open.set()


async def test_hung_query_is_canceled_when_the_connection_is_replaced() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    server.opened[0].responds.clear()
    with pytest.raises(TimeoutError):
        await attempt(connection)
    assert await attempt(connection) == 2
    assert server.opened[0].canceled == 1
    assert server.in_use() == [2]


async def test_hung_query_of_one_check_does_not_fail_another() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    server.opened[0].responds.clear()
    first = asyncio.create_task(attempt(connection))
    await asyncio.sleep(0)
    assert await attempt(connection) == 2
    with pytest.raises(TimeoutError):
        await first


async def test_server_that_answers_nothing_gets_few_connections() -> None:
    server = Server()
    server.responds = False
    connection = CheckConnection(server.connect)
    for _ in range(10):
        with pytest.raises(TimeoutError):
            await attempt(connection)
    assert len(server.opened) <= 3
    assert len(server.in_use()) == 1
    server.opened[-1].responds.set()
    assert await attempt(connection) == server.opened[-1].number


async def test_expired_connection_is_used_until_its_replacement_is_open(
    expire: Callable[[], None],
) -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    expire()
    server.open.clear()
    assert [await attempt(connection) for _ in range(2)] == [1, 1]
    server.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await attempt(connection) == 2
    assert 1 not in server.in_use()


async def test_connection_is_kept_and_the_error_reported_if_it_cannot_be_replaced(
    expire: Callable[[], None],
) -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    expire()
    server.error = PermissionError("wrong password")
    await attempt(connection)
    await asyncio.sleep(0)
    assert await attempt(connection) == 1
    assert connection.replacement_error == "PermissionError"
    assert server.in_use() == [1]


async def test_error_is_forgotten_soon_after_a_server_that_was_frozen_responds() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    server.opened[0].responds.clear()
    server.error = TimeoutError()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await attempt(connection)
    assert connection.replacement_error == "TimeoutError"
    server.opened[0].responds.set()
    server.error = None
    assert await attempt(connection) == 1
    await asyncio.sleep(0)
    assert await attempt(connection) == 2
    assert connection.replacement_error == ""
    assert server.in_use() == [2]


async def test_connection_to_a_wrong_server_is_replaced_if_another_one_accepts() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    connection.replace()
    assert await attempt(connection) == 2
    assert server.in_use() == [2]
    server.error = OSError()
    connection.replace()
    assert await attempt(connection) == 2


async def test_close_closes_open_and_opening_connections() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    await connection.close()
    assert server.in_use() == []
    server.open.clear()
    with pytest.raises(TimeoutError):
        await attempt(connection)
    await connection.close()
    server.open.set()
    await asyncio.sleep(0.01)
    assert server.in_use() == []
