"""The connection of a check: when it is opened, kept, replaced and dropped."""

import asyncio
from typing import Any

import pytest

from reference_service.dependencies.postgres import check_connection
from reference_service.dependencies.postgres.check_connection import (
    CheckConnection,
)


class Server:
    """Opens connections while `open` is set. Each query returns the connection's number."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def connect(self, _: float) -> Any:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.opened.append(Connection(len(self.opened) + 1))
        return self.opened[-1]

    def in_use(self) -> list[int]:
        return [opened.number for opened in self.opened if not opened.terminated]


class Connection:
    def __init__(self, number: int) -> None:
        self.number = number
        self.terminated = False
        self.error: Exception | None = None

    async def fetchrow(self, _: str) -> int:
        if self.error is not None:
            raise self.error
        return self.number

    def terminate(self) -> None:
        self.terminated = True


async def attempt(connection: CheckConnection) -> Any:
    """Send a query as a monitor does: the attempt is abandoned after a timeout."""
    async with asyncio.timeout(0.05):
        return await connection.fetch_row("SELECT 1")


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


async def test_connection_is_reused_until_an_error() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    assert [await attempt(connection) for _ in range(3)] == [1, 1, 1]
    server.opened[0].error = OSError()
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await attempt(connection)
    assert await attempt(connection) == 2
    assert server.in_use() == [2]


async def test_expired_connection_is_used_until_its_replacement_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)
    server.open.clear()
    assert [await attempt(connection) for _ in range(2)] == [1, 1]
    server.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await attempt(connection) == 2
    assert server.in_use() == [2]


async def test_changed_password_fails_when_the_connection_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)
    server.error = PermissionError("wrong password")
    assert await attempt(connection) == 1
    await asyncio.sleep(0)
    with pytest.raises(PermissionError):
        await attempt(connection)
    assert server.in_use() == []


async def test_close_drops_open_and_opening_connections() -> None:
    server = Server()
    connection = CheckConnection(server.connect)
    await attempt(connection)
    connection.close()
    assert server.in_use() == []
    server.open.clear()
    with pytest.raises(TimeoutError):
        await attempt(connection)
    connection.close()
    server.open.set()
    await asyncio.sleep(0.01)
    assert server.in_use() == []
