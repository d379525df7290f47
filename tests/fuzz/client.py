"""One client: it sends packets, and reads answers with a strict parser."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11

from .requests import Stream

RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """One answer of the service."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_rejection(self) -> bool:
        """Whether the server has rejected the request, and closes the connection."""
        return 400 <= self.status < 500 and self.headers.get("connection") == "close"


@dataclass
class Conversation:
    """What one client has received.

    methods: of the requests that it has sent, as far as a strict parser understands them. A
        response to HEAD has no body.
    """

    methods: Sequence[str]
    answers: list[Answer] = field(default_factory=list)
    data: bytes = b""
    closed: bool = False
    reset: bool = False
    unreadable: str = ""
    received: bytes = b""

    def add(self, data: bytes) -> None:
        """Add received data; none at the end of the connection."""
        self.closed = self.closed or not data
        self.data += data
        self.received += data
        while self.data and not self.unreadable and self._next_answer():
            pass

    def _next_answer(self) -> bool:
        number = len(self.answers)
        method = self.methods[number] if number < len(self.methods) else "GET"
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "here")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(self.data)
        if self.closed:
            connection.receive_data(b"")
        response, body = None, b""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif not isinstance(event, h11.InformationalResponse):
                    return False
        except h11.RemoteProtocolError as error:
            self.unreadable = str(error)
            return False
        if response is None:
            return False
        headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        self.answers.append(Answer(response.status_code, headers, body))
        rest = connection.trailing_data[0]
        if method == "HEAD" and headers.get("connection") == "close":
            rest = b""  # a rejected request is answered with a body, whatever its method is
        self.data = rest
        return True


async def converse(port: int, stream: Stream, received: Conversation, expected: int | None) -> None:
    """Send what a client sends, and receive until the connection closes.

    expected: the number of answers after which the client closes it; None: the service closes it.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        try:
            for packet in stream.packets:
                writer.write(packet)
                await asyncio.sleep(0)
            if stream.ending == "abandon":
                await _abandon(writer, reset=len(stream.data) % 2 == 0)
                return
            if stream.ending == "half-close":
                await writer.drain()
                writer.write_eof()
            while not received.closed and not _is_done(received, expected):
                received.add(await reader.read(65536))
        except ConnectionError:
            received.add(b"")
            received.reset = True


async def _abandon(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close the connection at once, sometimes with a reset."""
    await writer.drain()
    endpoint = writer.get_extra_info("socket")
    if reset and endpoint:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _is_done(received: Conversation, expected: int | None) -> bool:
    rejected = any(answer.is_rejection for answer in received.answers)
    return expected is not None and len(received.answers) >= expected and not rejected
