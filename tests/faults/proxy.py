"""A TCP proxy that breaks the network between a client and a server as networks break."""

import asyncio
import contextlib
import socket
import struct

LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: closing sends RST instead of FIN (socket(7))."""


class Proxy:
    """Passes bytes on to a port of 127.0.0.1 until told otherwise.

    port: where it listens, found by `start`. latency: seconds by which each answer is late.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.latency = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; on a free port the first time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and reset every connection."""
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def swallow(self) -> None:
        """Be a black hole: connections stay open, and new ones are accepted, but nothing passes."""
        self._open.clear()

    def refuse(self) -> None:
        """Reset every connection, and each new one as soon as it comes."""
        self._refusing = True
        self.reset()

    def heal(self) -> None:
        """Pass everything on again; what a black hole swallowed stays lost with its connection."""
        if not self._open.is_set():
            self.reset()
        self.latency, self._refusing = 0.0, False
        self._open.set()

    def reset(self) -> None:
        """Reset every connection, as a firewall that has lost its state does."""
        for writer in self._writers:
            with contextlib.suppress(OSError):
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._refusing:
                self.reset()
                return
            await self._open.wait()
            upstream, up = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(up)
            try:
                await asyncio.gather(
                    self._pass(reader, up, late=False), self._pass(upstream, writer)
                )
            finally:
                self._writers.discard(up)
                up.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool = True
    ) -> None:
        """Carry one direction; latency is an answer's, so that it counts once a round trip."""
        while data := await reader.read(65536):
            await self._open.wait()
            if late and self.latency:
                await asyncio.sleep(self.latency)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
