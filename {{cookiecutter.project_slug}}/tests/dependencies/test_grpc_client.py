"""Calls to another gRPC service: what a request sees, and how soon it recovers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from dev.grpc import SERVICE, Downstream

from reference_service.api import add_error_handlers
from reference_service.dependencies.grpc import Grpc, GrpcSettings
from reference_service.dependencies.grpc.client import (
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from reference_service.health import run_once

from ..processes import eventually

RECOVERY = 2.0
SLACK = 1.5


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@contextlib.asynccontextmanager
async def client_of(address: str) -> AsyncIterator[Grpc]:
    """Yield a client of one service, named `orders`."""
    client = Grpc(GrpcSettings(targets=f"orders={address}/{SERVICE}"))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.close()


async def call(client: Grpc) -> str:
    """Make a unary call as a request would, here to the health service."""
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    response = await health_pb2_grpc.HealthStub(client.channel("orders")).Check(
        request, timeout=0.5
    )
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


async def check(client: Grpc) -> None:
    [only] = client.checks()
    async with asyncio.timeout(0.5):
        await run_once(only)


class BrokenServer:
    """A server that accepts connections and does nothing, or closes them at once."""

    def __init__(self, *, closes: bool) -> None:
        self.accepted: list[float] = []
        """When each connection was accepted."""
        self._closes = closes

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Grpc]:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with client_of(f"127.0.0.1:{port}") as client:
                yield client

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(asyncio.get_running_loop().time())
        if not self._closes:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()


async def test_call_that_does_not_reach_the_service_returns_503_or_504_and_is_reported(
    downstream: Downstream,
) -> None:
    reported: list[str] = []
    app = FastAPI()
    add_error_handlers(app, Grpc.unavailable_errors, Grpc.timeout_errors)
    async with client_of(downstream.address) as client:
        client.on_failure(reported.append)

        @app.get("/")
        async def ask() -> str:
            return await call(client)

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:

            async def request() -> tuple[int, list[str]]:
                reported.clear()
                return (await http.get("/")).status_code, reported

            try:
                assert await request() == (200, [])
                downstream.set_status("NOT_FOUND")
                assert await request() == (500, [])
                downstream.set_status("UNAVAILABLE")
                assert await request() == (503, ["grpc.orders"])
                downstream.set_status("SERVING")
                downstream.pause()
                assert await request() == (504, ["grpc.orders"])
            finally:
                downstream.resume()
                downstream.set_status("SERVING")
            assert await request() == (200, [])


async def test_client_reconnects_to_an_unavailable_service_every_second() -> None:
    server = BrokenServer(closes=True)

    async def eight_attempts() -> bool:
        return len(server.accepted) >= 8

    async with server.client() as client:
        with pytest.raises(ServiceUnavailableError):
            await call(client)
        await eventually(eight_attempts, within=20)
    gaps = [later - earlier for earlier, later in pairwise(server.accepted)]
    assert max(gaps) <= RECOVERY + SLACK


async def test_abandoned_check_does_not_connect_again() -> None:
    server = BrokenServer(closes=False)
    async with server.client() as client:
        with pytest.raises(TimeoutError) as _held:
            await check(client)
        await asyncio.sleep(2.5)  # an open channel would try again after a second
    assert len(server.accepted) == 1


class Proxy:
    """A TCP proxy that can silence its connections: they stay open and forward nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._silenced: set[asyncio.StreamWriter] = set()
        self._open: list[asyncio.StreamWriter] = []
        self._tasks = asyncio.TaskGroup()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Yield the address of the proxy."""
        async with self._tasks, await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for writer in self._open:
                writer.close()

    def silence(self) -> None:
        self._silenced.update(self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open += [writer, upstream_writer]
        self._tasks.create_task(self._forward(reader, upstream_writer))
        self._tasks.create_task(self._forward(upstream_reader, writer))

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if target not in self._silenced:
                target.write(data)
        target.close()


async def test_hung_connection_is_replaced_after_the_check_replaced_its_own(
    downstream: Downstream,
) -> None:
    proxy = Proxy(downstream.port)
    async with proxy.serve() as address, client_of(address) as client:
        await check(client)
        await call(client)
        proxy.silence()
        with pytest.raises(TimeoutError):
            await check(client)
        with pytest.raises(ServiceTimeoutError):
            await call(client)
        await check(client)
        assert await call(client) == "SERVING"


async def test_call_completes_after_its_channel_was_replaced(downstream: Downstream) -> None:
    async with client_of(downstream.address) as client:
        calls = []
        for _ in range(3):
            calls.append(asyncio.create_task(call(client)))
            for _ in range(2):
                await asyncio.sleep(0)  # the call has started, nothing more
            client._replace_channel("orders")
        assert await asyncio.gather(*calls) == ["SERVING"] * 3


async def test_unknown_service_name_raises_key_error(downstream: Downstream) -> None:
    async with client_of(downstream.address) as client:
        with pytest.raises(KeyError):
            client.channel("customers")
