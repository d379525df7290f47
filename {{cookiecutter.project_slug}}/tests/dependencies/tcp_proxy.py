"""A TCP proxy whose target can change, and that can silence or reset its open connections."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LINGER_RESET = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN (socket(7))


class TcpProxy:
    """Forwards connections to a port of 127.0.0.1. Open connections keep their target."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._silenced: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen on a free port until the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        """Forward nothing more on the open connections, as a firewall that has forgotten them."""
        self._silenced |= self._open

    def reset(self) -> None:
        """Reset the open connections, as a firewall does after it has lost its state."""
        while self._open:
            writer = self._open.pop()
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, upstream[1]}
        for source, target in ((reader, upstream[1]), (upstream[0], writer)):
            self._tasks.append(asyncio.create_task(self._forward(source, target)))

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if target not in self._silenced:
                    target.write(data)
        except OSError:
            pass
        finally:
            if target not in self._silenced:
                target.transport.abort()
