"""Close connections after their responses while the service is not ready."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ConnectionClose:
    """Add `Connection: close` to responses while `unready()` is true.

    A client that keeps connections open then sends its next request to another replica. Otherwise
    it would go on to use this one: a balancer opens no new connections to it, but closes none. The
    same prevents requests into a connection that a shutdown closes (RFC 9112, section 9.6).
    """

    def __init__(self, app: ASGIApp, *, unready: Callable[[], bool]) -> None:
        self.app = app
        self.unready = unready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, and close its connection if the service is not ready."""
        if scope["type"] != "http" or not self.unready():
            await self.app(scope, receive, send)
            return

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_closing)
