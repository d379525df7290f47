"""The clients of Redis: connections, and what their errors mean to a request."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.exceptions
import uvloop
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from dev.valkey import Valkey

from reference_service.api import add_error_handlers
from reference_service.dependencies.redis import Redis, RedisSettings, checks
from reference_service.dependencies.redis.client import MAX_CONNECTIONS
from reference_service.health import run_once

from .tcp_proxy import TcpProxy


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    client = Redis(RedisSettings(url=valkey.url))  # type: ignore[arg-type]
    yield client
    await client.close()


async def test_command_waits_for_a_connection_when_all_are_in_use(client: Redis) -> None:
    commands = [client.client.set(str(number), "x") for number in range(4 * MAX_CONNECTIONS)]
    assert all(await asyncio.gather(*commands))


async def test_cancelled_commands_return_their_connections(client: Redis, valkey: Valkey) -> None:
    valkey.pause()
    commands = [asyncio.ensure_future(client.client.get("key")) for _ in range(200)]
    await asyncio.wait(commands, timeout=0.1)
    for command in commands:
        command.cancel()
    await asyncio.wait(commands)
    valkey.resume()
    assert await asyncio.gather(*(client.client.ping() for _ in range(200)))


def test_command_is_sent_again_if_its_connection_was_reset(valkey: Valkey) -> None:
    async def use_reset_connections() -> None:
        proxy = TcpProxy(valkey.port)
        async with proxy.serve():
            url = valkey.url.replace(str(valkey.port), str(proxy.port))
            client = Redis(RedisSettings(url=url))  # type: ignore[arg-type]
            for _ in range(5):
                commands = [client.client.set(str(number), "x") for number in range(10)]
                assert all(await asyncio.gather(*commands))
                proxy.reset()
                async with client.client.pipeline() as pipeline:
                    pipeline.get("1")
                    assert await pipeline.execute() == [b"x"]
            await client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop of the service
        runner.run(use_reset_connections())


ERRORS = {
    "OOM command not allowed when used memory > 'maxmemory'.": 503,
    "READONLY You can't write against a read only replica.": 503,
    "NOREPLICAS Not enough good replicas to write.": 503,
    "MISCONF Errors writing to the AOF file: No space left on device": 503,
    "BUSY Redis is busy running a script.": 503,
    "LOADING Redis is loading the dataset in memory": 503,
    "MASTERDOWN Link with MASTER is down": 503,
    "CLUSTERDOWN Hash slot not served": 503,
    "MOVED 866 127.0.0.1:7002": 503,
    "TRYAGAIN Multiple keys request during rehashing of slot": 503,
    "ERR max number of clients reached": 503,
    "WRONGTYPE Operation against a key holding the wrong kind of value": 500,
    "ERR unknown command 'HELO'": 500,
}


@pytest.mark.parametrize(("reply", "status"), ERRORS.items(), ids=lambda each: str(each)[:12])
async def test_error_reply_is_answered_by_its_code(reply: str, status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept the handshake, and answer every other command with the error."""
        while data := await reader.read(65536):
            commands = data.upper().count(b"*") or 1
            greets = b"HELLO" in data or b"CLIENT" in data or b"SETINFO" in data
            writer.write((b"+OK\r\n" if greets else f"-{reply}\r\n".encode()) * commands)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"redis://127.0.0.1:{port}?protocol=2"
        client = Redis(RedisSettings(url=url))  # type: ignore[arg-type]
        app = FastAPI()
        add_error_handlers(app, client.unavailable_errors, client.timeout_errors)

        @app.get("/")
        async def ask() -> str:
            return str(await client.client.get("key"))

        transport = ASGITransport(app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://service") as http:
            assert (await http.get("/")).status_code == status
        await client.close()


@pytest.fixture
def reconnects_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "RECONNECT_INTERVAL", 0.0)


@pytest.mark.usefixtures("reconnects_each_time")
async def test_check_keeps_its_connection_while_no_new_one_is_accepted(
    client: Redis, valkey: Valkey
) -> None:
    [check] = client.checks()
    await run_once(check)
    valkey.ask("CONFIG", "SET", "maxclients", "1")
    try:
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.client.ping()
        for _ in range(3):
            await run_once(check)
    finally:
        await client.check_client.config_set("maxclients", 10_000)


@pytest.mark.usefixtures("reconnects_each_time")
async def test_check_detects_a_password_that_its_open_connection_does_not_need(
    client: Redis, valkey: Valkey
) -> None:
    [check] = client.checks()
    await run_once(check)
    valkey.ask("CONFIG", "SET", "requirepass", "hunter2")
    try:
        for _ in range(2):
            with pytest.raises(redis.exceptions.AuthenticationError):
                await run_once(check)
    finally:
        await client.check_client.config_set("requirepass", "")
    await run_once(check)
