"""Calls to another service by gRPC: what a request sees of it, and how soon it is back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from dev.grpc import SERVICE, Downstream

from reference_service.api import errors
from reference_service.dependencies.grpc.calls import ServiceUnavailableError
from reference_service.dependencies.grpc.client import (
    Grpc,
    GrpcSettings,
)

RECOVERY = 2.0
SLACK = 1.5


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@contextlib.asynccontextmanager
async def client_of(address: str) -> AsyncIterator[Grpc]:
    """A client of one service, named `orders`."""
    client = Grpc(GrpcSettings(targets=f"orders={address}/{SERVICE}"))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.close()


async def call(client: Grpc) -> str:
    """Make a unary call as a request would; here the health service stands for the service."""
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    answer = await health_pb2_grpc.HealthStub(client.channel("orders")).Check(request, timeout=0.5)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def check(client: Grpc) -> None:
    [only] = client.checks()
    async with asyncio.timeout(0.5):
        await only.run()


class Refusal:
    """A server that takes connections and does nothing, or closes them at once."""

    def __init__(self, *, closes: bool) -> None:
        self.taken: list[float] = []
        """When each connection came."""
        self._closes = closes

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Grpc]:
        async with await asyncio.start_server(self._take, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with client_of(f"127.0.0.1:{port}") as client:
                yield client

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken.append(asyncio.get_running_loop().time())
        if not self._closes:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()


async def test_a_call_that_does_not_reach_the_service_is_answered_503_and_reported(
    downstream: Downstream,
) -> None:
    suspected: list[str] = []
    app = FastAPI()
    errors.install(app, Grpc.unavailable_errors)
    async with client_of(downstream.address) as client:
        client.on_failure(suspected.append)

        @app.get("/")
        async def ask() -> str:
            return await call(client)

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:

            async def request() -> tuple[int, list[str]]:
                suspected.clear()
                return (await http.get("/")).status_code, suspected

            try:
                assert await request() == (200, [])
                downstream.set_status("NOT_FOUND")
                assert await request() == (500, [])
                downstream.set_status("UNAVAILABLE")
                assert await request() == (503, ["grpc.orders"])
                downstream.set_status("SERVING")
                downstream.pause()
                assert await request() == (503, ["grpc.orders"])
            finally:
                downstream.resume()
                downstream.set_status("SERVING")
            assert await request() == (200, [])


async def test_a_service_that_is_away_is_tried_every_second_so_that_it_is_soon_back() -> None:
    away = Refusal(closes=True)
    async with away.client() as client, asyncio.timeout(20):
        with pytest.raises(ServiceUnavailableError):
            await call(client)
        while len(away.taken) < 8:
            await asyncio.sleep(0.05)
    assert max(later - earlier for earlier, later in pairwise(away.taken)) <= RECOVERY + SLACK


async def test_a_check_that_was_given_up_connects_no_more() -> None:
    frozen = Refusal(closes=False)
    async with frozen.client() as client:
        with pytest.raises(TimeoutError) as _held:
            await check(client)
        await asyncio.sleep(2.5)  # a channel tries for a second, and again
    assert len(frozen.taken) == 1


class Relay:
    """A way to a server that can forget its connections: they stay open and nothing passes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._open: list[asyncio.StreamWriter] = []
        self._passing = asyncio.TaskGroup()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Give the address to connect to."""
        async with self._passing, await asyncio.start_server(self._relay, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for writer in self._open:
                writer.close()

    def forget(self) -> None:
        self._forgotten.update(self._open)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._open += [writer, back]
        self._passing.create_task(self._pass_on(reader, back))
        self._passing.create_task(self._pass_on(there, writer))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if target not in self._forgotten:
                target.write(data)
        target.close()


async def test_a_connection_that_hangs_for_good_is_replaced_once_the_check_has_replaced_its_own(
    downstream: Downstream,
) -> None:
    relay = Relay(downstream.port)
    async with relay.serve() as address, client_of(address) as client:
        await check(client)
        await call(client)
        relay.forget()
        with pytest.raises(TimeoutError):
            await check(client)
        with pytest.raises(ServiceUnavailableError):
            await call(client)
        await check(client)
        assert await call(client) == "SERVING"


async def test_a_call_outlives_the_channel_it_was_made_on(downstream: Downstream) -> None:
    async with client_of(downstream.address) as client:
        calls = []
        for _ in range(3):
            calls.append(asyncio.create_task(call(client)))
            await asyncio.sleep(0)  # it is made, and no more
            client._replace_channel("orders")
        assert await asyncio.gather(*calls) == ["SERVING"] * 3


async def test_an_unknown_service_is_a_mistake_of_the_program(downstream: Downstream) -> None:
    async with client_of(downstream.address) as client:
        with pytest.raises(KeyError):
            client.channel("customers")
