"""Notes in a request's record what becomes of a WebSocket."""

from ..health import Registry
from ..health.asgi import Message, Receive, Send
from .record import (
    CLIENT_CLOSED_REQUEST,
    CONNECTION_LOST,
    FORBIDDEN,
    NO_CLOSE_CODE,
    NORMAL_CLOSURE,
    SWITCHING_PROTOCOLS,
    RequestRecord,
)


class WebSocket:
    """The messages of one WebSocket. The first close code counts, whichever side closes.

    registry: knows how many are open.
    """

    def __init__(
        self, record: RequestRecord, registry: Registry, receive: Receive, send: Send
    ) -> None:
        self._record, self._registry = record, registry
        self._receive, self._send = receive, send

    async def receive(self) -> Message:
        """Receive a message, and note the close code of the client."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._close(message.get("code") or NO_CLOSE_CODE)
        return message

    async def send(self, message: Message) -> None:
        """Send a message, and note the answer to the handshake and the close code."""
        match message["type"]:
            case "websocket.accept":
                self._record.status = SWITCHING_PROTOCOLS
                self._record.close_code = CONNECTION_LOST
                self._registry.websockets += 1
            case "websocket.http.response.start":
                self._record.status = message["status"]
            case "websocket.close":
                self._close(message.get("code", NORMAL_CLOSURE))
        await self._send(message)

    def _close(self, code: int) -> None:
        if self._record.close_code == CONNECTION_LOST:
            self._record.close_code = code
        elif self._record.status == CLIENT_CLOSED_REQUEST:
            self._record.status = FORBIDDEN  # as servers answer a close before the handshake
