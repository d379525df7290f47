"""A TCP proxy that simulates network failures between a client and a server."""

import asyncio
import contextlib
import socket
import struct

LINGER_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, with 0 s: closing the socket sends RST instead of FIN (socket(7))."""


class Proxy:
    """Forwards connections to a port of 127.0.0.1, unless a failure is simulated.

    port: the port on which it listens, set by `start`. latency: seconds of delay per response.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.latency = 0.0
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._resetting = False
        self._resetting_new = False
        self._gate = asyncio.Event()  # open: lets the traffic of the latest connections pass
        self._gate.set()
        self._closed_gates: list[asyncio.Event] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen: on a free port the first time, on the same port afterwards."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and reset every connection."""
        if self._server is not None:
            self._server.close()
        self.reset_open_connections()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop_traffic(self) -> None:
        """Forward nothing more. Connections stay open, and new ones are accepted."""
        self._forwarding.clear()

    def reset_connections(self) -> None:
        """Reset every connection, and each new one as soon as it is accepted."""
        self._resetting = True
        self.reset_open_connections()

    def reset_open_connections(self) -> None:
        """Reset every open connection, as a firewall does after it has lost its state."""
        for writer in self._writers:
            _reset(writer)

    def reset_new_connections(self) -> None:
        """Reset each new connection as soon as it is accepted. Open ones are not affected."""
        self._resetting_new = True

    def swallow_open_connections(self) -> None:
        """Forward nothing more on open connections, as a NAT that has forgotten them."""
        self._gate.clear()
        self._closed_gates.append(self._gate)
        self._gate = asyncio.Event()
        self._gate.set()

    def repair(self) -> None:
        """Forward everything again. Connections whose traffic was dropped are reset."""
        if not self._forwarding.is_set():
            self.reset_open_connections()
        self.latency, self._resetting, self._resetting_new = 0.0, False, False
        while self._closed_gates:
            self._closed_gates.pop().set()
        self._forwarding.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        gate = self._gate
        try:
            if self._resetting or self._resetting_new:
                _reset(writer)
                return
            await self._forwarding.wait()
            upstream, up = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(up)
            try:
                await asyncio.gather(
                    self._forward(reader, up, gate, delayed=False),
                    self._forward(upstream, writer, gate),
                )
            finally:
                self._writers.discard(up)
                up.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        *,
        delayed: bool = True,
    ) -> None:
        """Forward one direction. Only responses are delayed: one delay per round trip."""
        while data := await reader.read(65536):
            await self._forwarding.wait()
            await gate.wait()
            if delayed and self.latency:
                await asyncio.sleep(self.latency)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    writer.transport.abort()
