"""Stands for a pager and for a queue of tickets: keeps what Alertmanager sends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .receiver import receiving


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

    def take(path: str, body: bytes) -> None:
        message = json.loads(body)
        assert path == f"/{message['receiver']}"
        webhook.messages.append(message)

    with receiving(take) as url:
        webhook = Webhook(url)
        yield webhook
