"""Requests that arrive while the process shuts down."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from reference_service.server.http_protocol import (
    BoundedProtocol,
)

GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
TIMEOUT = 10.0
A_WHILE = 0.1
"""Seconds in which the event loop reads what has arrived."""


def run(scenario: Coroutine[Any, Any, bytes]) -> bytes:
    """Run a coroutine on the event loop that the service uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


class Served:
    """Both ends of one connection that is kept open after its first request."""

    def __init__(self, client: socket.socket, connections: set[BoundedProtocol]) -> None:
        self.client = client
        (self._connection,) = connections

    def shut_down(self) -> None:
        """Shut the connection down as uvicorn does when the process shuts down."""
        self._connection.shutdown()

    async def last_answer(self) -> bytes:
        """Return what the service sends until it closes the connection."""
        answer = b""
        while part := await asyncio.to_thread(self.client.recv, 65536):
            answer += part
        return answer


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Served]:
    app = PlainTextResponse("answered")
    config = uvicorn.Config(app, log_config=None, access_log=False)
    config.load()
    state = ServerState()

    def protocol() -> BoundedProtocol:
        return BoundedProtocol(
            config, state, {}, header_timeout=TIMEOUT, io_timeout=TIMEOUT, max_header_bytes=4096
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        with socket.create_connection(address, timeout=TIMEOUT) as client:
            client.sendall(GET)
            first = b""
            while not first.endswith(b"answered"):
                first += await asyncio.to_thread(client.recv, 65536)
            yield Served(client, state.connections)  # type: ignore[arg-type]


def test_idle_connection_is_closed_at_once() -> None:
    async def shut_down() -> bytes:
        async with served() as connection:
            connection.shut_down()
            return await connection.last_answer()

    assert run(shut_down()) == b""


def test_request_that_is_not_read_yet_is_answered() -> None:
    async def shut_down() -> bytes:
        async with served() as connection:
            connection.client.sendall(GET)  # the event loop cannot read it before this:
            connection.shut_down()
            return await connection.last_answer()

    assert run(shut_down()).endswith(b"answered")


@pytest.mark.parametrize("arrived", [1, len(GET) - 1])
def test_request_whose_headers_are_incomplete_is_answered(arrived: int) -> None:
    async def shut_down() -> bytes:
        async with served() as connection:
            connection.client.sendall(GET[:arrived])
            await asyncio.sleep(A_WHILE)
            connection.shut_down()
            await asyncio.sleep(A_WHILE)
            connection.client.sendall(GET[arrived:])
            return await connection.last_answer()

    assert run(shut_down()).endswith(b"answered")
