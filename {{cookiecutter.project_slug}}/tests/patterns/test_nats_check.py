"""JetStream servers that are broken, whether a client can publish, and what the check reports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import DiscardPolicy, StreamConfig

from dev.ports import free_port

from patterns.checks.nats import (
    StreamFull,
    StreamMissing,
    stream_check,
)
from patterns.health import Check, CheckFailed, CheckResult, Status, run_once

from ..processes import eventually
from .nats_server import Nats

STREAM = "ORDERS"
BROKEN = (Error, OSError, TimeoutError)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


async def connect(server: Nats) -> Client:
    async def ignore(_: Exception) -> None:
        """Log nothing: the servers are broken on purpose."""

    return await nats.connect(
        server.url,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=1,
        error_cb=ignore,
    )


@contextlib.asynccontextmanager
async def checking(server: Nats) -> AsyncIterator[Check]:
    """A check of the stream, whose connections end with the block."""
    clients: list[Client] = []

    async def open_connection() -> Client:
        clients.append(await connect(server))
        return clients[-1]

    try:
        yield stream_check(open_connection, STREAM, name="orders")
    finally:
        for client in clients:
            await client.close()


async def attempt(check: Check) -> CheckResult:
    """Make an attempt as the engine does: abandon it after its timeout."""
    async with asyncio.timeout(1):
        return await run_once(check)


async def publish(server: Nats) -> None:
    """Do what a client does. Raises one of BROKEN."""
    client = await connect(server)
    try:
        await client.jetstream(timeout=1).publish("orders.new", b"1")
    finally:
        await client.close()


async def create_stream(server: Nats, **settings: object) -> None:
    client = await connect(server)
    try:
        with contextlib.suppress(Error):
            await client.jetstream().delete_stream(STREAM)
        config = StreamConfig(name=STREAM, subjects=["orders.*"], **settings)  # type: ignore[arg-type]
        await client.jetstream().add_stream(config)
    finally:
        await client.close()


async def delete_stream(server: Nats) -> None:
    client = await connect(server)
    try:
        await client.jetstream().delete_stream(STREAM)
    finally:
        await client.close()


async def fill(server: Nats) -> None:
    await create_stream(server, max_msgs=2, discard=DiscardPolicy.NEW)
    await publish(server)
    await publish(server)


@pytest.mark.parametrize(
    ("breaks", "error"),
    [
        (delete_stream, StreamMissing),
        (fill, StreamFull),
    ],
)
async def test_check_fails_when_clients_cannot_publish(
    server: Nats, breaks: Callable[[Nats], Awaitable[None]], error: type[Exception]
) -> None:
    await create_stream(server)
    async with checking(server) as check:
        assert (await attempt(check)).status is Status.PASS
        await publish(server)
        await breaks(server)
        with pytest.raises(BROKEN):
            await publish(server)
        with pytest.raises(error):
            await attempt(check)
        await create_stream(server)
        assert (await attempt(check)).status is Status.PASS


async def test_stream_that_discards_old_messages_passes_at_its_limit(server: Nats) -> None:
    await create_stream(server, max_msgs=1)
    for _ in range(3):
        await publish(server)
    async with checking(server) as check:
        assert (await attempt(check)).data["messages"] == 1


# nats-py does not close the connection that it opens to a frozen server.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("outage", [Nats.pause, Nats.kill])
async def test_server_that_does_not_respond_fails(
    tmp_path: Path, outage: Callable[[Nats], None]
) -> None:
    with Nats(tmp_path) as server:
        await create_stream(server)
        async with checking(server) as check:
            await attempt(check)
            await asyncio.to_thread(outage, server)
            with pytest.raises(BROKEN):
                await publish(server)
            with pytest.raises(BROKEN):
                await attempt(check)
            await asyncio.to_thread(server.resume if server.is_running else server.start)
            await eventually(lambda: passes(check))
            await publish(server)


async def passes(check: Check) -> bool:
    try:
        await attempt(check)
    except (*BROKEN, CheckFailed):
        return False
    return True


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[Nats]]:
    """Three servers, each of which stores every message."""
    routes = [free_port() for _ in range(3)]
    known = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = []
    with contextlib.ExitStack() as stack:
        for number, port in enumerate(routes):
            settings = {
                "cluster": f"nats://127.0.0.1:{port}",
                "cluster_name": "test",
                "routes": known,
                "name": f"server-{number}",
            }
            servers.append(stack.enter_context(Nats(tmp_path / str(number), settings=settings)))
        yield servers


async def test_cluster_that_has_lost_its_quorum_fails(cluster: list[Nats]) -> None:
    async def is_created() -> bool:
        try:
            await create_stream(cluster[0], num_replicas=3)
        except BROKEN:
            return False
        return True

    async with checking(cluster[0]) as check:
        await eventually(is_created)
        await eventually(lambda: passes(check))
        await publish(cluster[0])
        await asyncio.to_thread(cluster[1].kill)
        await eventually(lambda: passes(check))
        assert await eventually(lambda: can_publish(cluster[0]))
        await asyncio.to_thread(cluster[2].kill)
        with pytest.raises(BROKEN):
            await publish(cluster[0])

        async def fails() -> bool:
            return not await passes(check)

        assert await eventually(fails) < 8
        await asyncio.sleep(1)
        assert await fails()
        for stopped in cluster[1:]:
            await asyncio.to_thread(stopped.start)
        await eventually(lambda: passes(check))
        await eventually(lambda: can_publish(cluster[0]))


async def can_publish(server: Nats) -> bool:
    try:
        await publish(server)
    except BROKEN:
        return False
    return True
