"""RabbitMQ servers that are broken, whether a client can publish, and what the check reports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiormq
import pytest
from aiormq.abc import AbstractConnection
from aiormq.exceptions import AMQPError

from patterns.checks import rabbitmq as pattern
from patterns.checks.rabbitmq import (
    OWN_QUEUE,
    AuthenticationFailed,
    ConnectionBlocked,
    PermissionDenied,
    QueueMissing,
    QueueUnavailable,
    QuorumLost,
    publish_check,
)
from patterns.health import Check, CheckFailed, CheckResult, run_once

from ..processes import eventually
from .rabbitmq import CREATE_QUEUE, GRANT, NAME, RabbitMQ, set_permissions

BROKEN = (AMQPError, OSError, TimeoutError)
DELETE_QUEUE = (
    f"{{ok, Queue}} = rabbit_amqqueue:lookup({NAME}), "
    'rabbit_amqqueue:delete(Queue, false, false, <<"test">>)'
)
CHANGE_PASSWORD = 'rabbit_auth_backend_internal:change_password(<<"shop">>, <<"{}">>, <<"test">>)'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("first")) as running:
        yield running


@pytest.fixture(autouse=True)
def close_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the driver wait 0.1 s, not 2 s, for a server that does not respond to the end."""
    monkeypatch.setattr(aiormq.Connection, "READER_CLOSE_TIMEOUT", 0.1)


class Connections:
    """Opens connections for a check, and closes them at the end."""

    def __init__(self, server: RabbitMQ) -> None:
        self.server, self.count = server, 0
        self.opened: list[AbstractConnection] = []

    async def open(self) -> AbstractConnection:
        self.count += 1
        self.opened.append(await aiormq.connect(self.server.url))
        return self.opened[-1]


@contextlib.asynccontextmanager
async def checking(server: RabbitMQ, *queues: str) -> AsyncIterator[tuple[Check, Connections]]:
    """A check of the server, and its connections, which end with the block."""
    connections = Connections(server)
    try:
        yield publish_check(connections.open, queues or ["orders"]), connections
    finally:
        for connection in connections.opened:
            await connection.close()


async def attempt(check: Check) -> CheckResult:
    """Make an attempt as the engine does: abandon it after its timeout."""
    async with asyncio.timeout(check.timeout):
        return await run_once(check)


async def publish(server: RabbitMQ, within: float = 10.0) -> None:
    """Do what a client does. Raises one of BROKEN."""
    async with asyncio.timeout(within):
        connection = await aiormq.connect(server.url)
    try:
        async with asyncio.timeout(within):
            channel = await connection.channel()
            await channel.basic_publish(b"1", routing_key="orders", mandatory=True)
    finally:
        await connection.close()


async def passes(check: Check) -> bool:
    try:
        await attempt(check)
    except (*BROKEN, CheckFailed):
        return False
    return True


async def fails(check: Check, error: type[Exception]) -> bool:
    """Whether an attempt fails with this error. On a busy machine, it can time out before."""
    try:
        await attempt(check)
    except error:
        return True
    except (*BROKEN, CheckFailed):
        return False
    return False


async def until_passes(check: Check) -> None:
    await eventually(partial(passes, check))


async def until_fails(check: Check, error: type[Exception]) -> None:
    await eventually(partial(fails, check, error))


class Row(NamedTuple):
    """What breaks and repairs a server, what a client gets, and the check's error."""

    breaks: str
    repairs: str
    client: type[Exception]
    check: type[Exception]


LIMIT = "vm_memory_monitor:set_vm_memory_high_watermark({})"
ROWS = {
    "memory alarm": Row(
        LIMIT.format("0.00001"), LIMIT.format("0.9"), TimeoutError, ConnectionBlocked
    ),
    "disk alarm": Row(
        'rabbit_disk_monitor:set_disk_free_limit("1000000GB")',
        'rabbit_disk_monitor:set_disk_free_limit("1MB")',
        TimeoutError,
        ConnectionBlocked,
    ),
    "queue is missing": Row(
        DELETE_QUEUE, CREATE_QUEUE, aiormq.exceptions.PublishError, QueueMissing
    ),
    "permission is revoked": Row(
        set_permissions("^$", "^$", "^$"),
        GRANT,
        aiormq.exceptions.ChannelAccessRefused,
        PermissionDenied,
    ),
    "virtual host is forbidden": Row(
        'rabbit_auth_backend_internal:clear_permissions(<<"shop">>, <<"/">>, <<"test">>)',
        GRANT,
        aiormq.exceptions.InvalidFrameError,
        PermissionDenied,
    ),
    "password is changed": Row(
        CHANGE_PASSWORD.format("other"),
        CHANGE_PASSWORD.format("secret"),
        aiormq.exceptions.ProbableAuthenticationError,
        AuthenticationFailed,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_check_fails_when_clients_cannot_publish(server: RabbitMQ, row: Row) -> None:
    async with checking(server) as (check, _):
        await until_passes(check)
    await publish(server)
    server.run(row.breaks)
    try:
        with pytest.raises(row.client):
            await publish(server, within=1)
        async with checking(server) as (check, _):
            await until_fails(check, row.check)
    finally:
        server.run(row.repairs)
    await publish(server)
    async with checking(server) as (check, _):
        await until_passes(check)


def connection_count(server: RabbitMQ) -> int:
    return int(server.run("length(rabbit_networking:connections())"))


async def test_alarm_holds_one_connection_and_its_end_confirms_the_message(
    server: RabbitMQ,
) -> None:
    await eventually(lambda: is_unused(server))
    async with checking(server) as (check, connections):
        await until_passes(check)
        server.run(ROWS["memory alarm"].breaks)
        try:
            for _ in range(3):
                await until_fails(check, ConnectionBlocked)
            assert (connections.count, connection_count(server)) == (1, 1)
        finally:
            server.run(ROWS["memory alarm"].repairs)
        await until_passes(check)


async def is_unused(server: RabbitMQ) -> bool:
    return connection_count(server) == 0


async def test_alarm_that_lasts_does_not_replace_the_connection(
    server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.run(ROWS["memory alarm"].breaks)
    try:
        async with checking(server) as (check, connections):
            await until_fails(check, ConnectionBlocked)
            monkeypatch.setattr(pattern, "REPLACE_AFTER", 0.0)
            for _ in range(2):
                await until_fails(check, ConnectionBlocked)
            assert connections.count == 1
    finally:
        server.run(ROWS["memory alarm"].repairs)


async def test_server_that_freezes_during_an_alarm_times_out(server: RabbitMQ) -> None:
    async with checking(server) as (check, connections):
        server.run(ROWS["memory alarm"].breaks)
        try:
            await until_fails(check, ConnectionBlocked)
            server.pause()
            try:
                await connections.opened[0].close()  # as the driver does without heartbeats
                await until_fails(check, TimeoutError)
            finally:
                server.resume()
        finally:
            server.run(ROWS["memory alarm"].repairs)
        await until_passes(check)


async def test_attempts_leave_one_message_in_the_queue_of_the_check(server: RabbitMQ) -> None:
    async with checking(server, "orders", OWN_QUEUE) as (check, connections):
        before = (await attempt(check)).data["orders"]
        for _ in range(5):
            data = (await attempt(check)).data
    assert (data, connections.count) == ({OWN_QUEUE: 1, "orders": before}, 1)


async def test_attempts_at_long_intervals_use_one_connection(
    server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with checking(server) as (check, connections):
        await until_passes(check)
        monkeypatch.setattr(pattern, "REPLACE_AFTER", 0.0)
        for _ in range(2):
            await attempt(check)
    assert connections.count == 1


async def test_server_that_is_frozen_times_out_with_one_connection(server: RabbitMQ) -> None:
    async with checking(server) as (known, _), checking(server) as (new, connections):
        await until_passes(known)
        server.pause()
        try:
            with pytest.raises(BROKEN):
                await publish(server, within=1)
            for check in (known, new, new, new):
                with pytest.raises(TimeoutError):
                    await attempt(check)
            assert connections.count == 1
        finally:
            server.resume()
        await until_passes(known)
        await until_passes(new)
        await publish(server)


async def test_connection_that_hangs_for_long_is_replaced(
    server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, "REPLACE_AFTER", 0.1)
    monkeypatch.setattr(pattern, "TIMEOUT", 0.3)
    async with checking(server) as (check, connections):
        await until_passes(check)
        server.pause()
        try:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await attempt(check)
        finally:
            server.resume()
        await until_passes(check)
        assert connections.count > 1


async def test_cluster_that_has_lost_its_quorum_fails(server: RabbitMQ, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        second = stack.enter_context(RabbitMQ(tmp_path, first=server))
        await delete_own_queue(server)
        second.run(CREATE_QUEUE.replace("orders", "local"))
        check, _ = await stack.enter_async_context(checking(server))
        local, _ = await stack.enter_async_context(checking(server, "local"))
        other, _ = await stack.enter_async_context(checking(second))
        for each in (check, local, other):
            await until_passes(each)
        await asyncio.to_thread(second.kill)
        for each, error in ((check, QuorumLost), (local, QueueUnavailable)):
            for _ in range(2):
                await until_fails(each, error)
        with pytest.raises(BROKEN):
            await publish(second)
        await until_fails(other, OSError)
        await asyncio.to_thread(second.start)
        for each in (check, local, other):
            await until_passes(each)


async def delete_own_queue(server: RabbitMQ) -> None:
    """Delete the queue of the check, so that the next attempt creates it on all nodes."""
    connection = await aiormq.connect(server.url)
    try:
        channel = await connection.channel()
        await channel.queue_delete(OWN_QUEUE)
    finally:
        await connection.close()
