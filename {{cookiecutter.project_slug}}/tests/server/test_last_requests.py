"""Connections as the process leaves, when a request may be under way on each."""

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
PATIENCE = 10.0
A_WHILE = 0.1
"""Seconds in which the loop reads whatever there is."""


def run(scenario: Coroutine[Any, Any, bytes]) -> bytes:
    """Run it on the loop that the service runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


class Served:
    """One connection that is kept after its first request, seen from both ends."""

    def __init__(self, client: socket.socket, connections: set[BoundedProtocol]) -> None:
        self.client = client
        (self._connection,) = connections

    def leave(self) -> None:
        """Do what uvicorn does to each connection when the process leaves."""
        self._connection.shutdown()

    async def last_answer(self) -> bytes:
        """Return what the service still sends until it closes the connection."""
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
            config, state, {}, header_timeout=PATIENCE, io_timeout=PATIENCE, max_header_bytes=4096
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        with socket.create_connection(address, timeout=PATIENCE) as client:
            client.sendall(GET)
            first = b""
            while not first.endswith(b"answered"):
                first += await asyncio.to_thread(client.recv, 65536)
            yield Served(client, state.connections)  # type: ignore[arg-type]


def test_a_connection_without_a_request_is_closed_at_once() -> None:
    async def leave() -> bytes:
        async with served() as connection:
            connection.leave()
            return await connection.last_answer()

    assert run(leave()) == b""


def test_a_request_that_nobody_has_read_yet_is_answered() -> None:
    async def leave() -> bytes:
        async with served() as connection:
            connection.client.sendall(GET)  # and the loop has no chance to read it before:
            connection.leave()
            return await connection.last_answer()

    assert run(leave()).endswith(b"answered")


@pytest.mark.parametrize("arrived", [1, len(GET) - 1])
def test_a_request_whose_head_is_still_coming_is_answered(arrived: int) -> None:
    async def leave() -> bytes:
        async with served() as connection:
            connection.client.sendall(GET[:arrived])
            await asyncio.sleep(A_WHILE)
            connection.leave()
            await asyncio.sleep(A_WHILE)
            connection.client.sendall(GET[arrived:])
            return await connection.last_answer()

    assert run(leave()).endswith(b"answered")
