"""Stands for a pager and for a queue of tickets: keeps what Alertmanager sends."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """Alerts as they come in, by receiver; `url` is what Alertmanager's receivers begin with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[dict[str, Any]] = []

    def told(self, receiver: str, alert: str, status: str = "firing") -> dict[str, Any] | None:
        """Return the latest of these alerts that a receiver was told of."""
        for message in reversed(self.messages):
            for each in message["alerts"]:
                named = each["labels"]["alertname"] == alert and each["status"] == status
                if named and message["receiver"] == receiver:
                    found: dict[str, Any] = each
                    return found
        return None


@contextmanager
def listening() -> Iterator[Webhook]:
    """Take messages on a port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            message = json.loads(body)
            assert self.path == f"/{message['receiver']}"
            webhook.messages.append(message)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            serving.join()
