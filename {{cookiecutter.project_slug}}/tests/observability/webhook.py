"""A stand-in for a pager and a ticket queue: stores the messages of Alertmanager."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .receiver import receiving


class Webhook:
    """The received messages; `url` is the prefix of the URLs of Alertmanager's receivers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[dict[str, Any]] = []

    def latest(self, receiver: str, alert: str, status: str = "firing") -> dict[str, Any] | None:
        """Return the latest alert with this name and status that the receiver got."""
        for message in reversed(self.messages):
            for each in message["alerts"]:
                matches = each["labels"]["alertname"] == alert and each["status"] == status
                if matches and message["receiver"] == receiver:
                    found: dict[str, Any] = each
                    return found
        return None


@contextmanager
def listening() -> Iterator[Webhook]:
    """Receive messages on a loopback port."""

    def take(path: str, body: bytes) -> None:
        message = json.loads(body)
        assert path == f"/{message['receiver']}"
        webhook.messages.append(message)

    with receiving(take) as url:
        webhook = Webhook(url)
        yield webhook
