"""The connection of a check: when it is opened, kept, renewed and thrown away."""

import asyncio
from typing import Any

import pytest

from reference_service.dependencies.postgres import check_connection

ReservedConnection = check_connection.ReservedConnection


class Server:
    """Opens connections, slowly if told so, and answers each query with the connection's number."""

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
        return [connection.number for connection in self.opened if not connection.terminated]


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


async def attempt(reserved: ReservedConnection) -> Any:
    """Ask as a monitor does: abandoned when it takes too long."""
    async with asyncio.timeout(0.05):
        return await reserved.fetchrow("SELECT 1")


async def test_a_connection_that_opens_slower_than_an_attempt_is_there_for_a_later_one() -> None:
    server = Server()
    server.open.clear()
    reserved = ReservedConnection(server.connect)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await attempt(reserved)
    server.open.set()
    assert await attempt(reserved) == 1
    assert server.in_use() == [1]


async def test_one_connection_serves_until_an_error_and_then_another() -> None:
    server = Server()
    reserved = ReservedConnection(server.connect)
    assert [await attempt(reserved) for _ in range(3)] == [1, 1, 1]
    server.opened[0].error = OSError()
    with pytest.raises(OSError):  # noqa: PT011 - any will do
        await attempt(reserved)
    assert await attempt(reserved) == 2
    assert server.in_use() == [2]


async def test_an_old_connection_serves_until_the_next_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    reserved = ReservedConnection(server.connect)
    await attempt(reserved)
    monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)
    server.open.clear()
    assert [await attempt(reserved) for _ in range(2)] == [1, 1]
    server.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await attempt(reserved) == 2
    assert server.in_use() == [2]


async def test_a_password_that_has_changed_is_noticed_when_the_connection_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    reserved = ReservedConnection(server.connect)
    await attempt(reserved)
    monkeypatch.setattr(check_connection, "MAX_AGE", -1.0)
    server.error = PermissionError("wrong password")
    assert await attempt(reserved) == 1
    await asyncio.sleep(0)
    with pytest.raises(PermissionError):
        await attempt(reserved)
    assert server.in_use() == []


async def test_closing_leaves_neither_the_connection_nor_one_that_is_being_opened() -> None:
    server = Server()
    reserved = ReservedConnection(server.connect)
    await attempt(reserved)
    reserved.close()
    assert server.in_use() == []
    server.open.clear()
    with pytest.raises(TimeoutError):
        await attempt(reserved)
    reserved.close()
    server.open.set()
    await asyncio.sleep(0.01)
    assert server.in_use() == []
