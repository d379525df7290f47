"""uvicorn's HTTP protocol that rejects requests before it parses them, under overload."""

import select
from typing import Any

from ..resilience import EarlyRejection
from .http_protocol import BoundedProtocol

_CLIENT_CLOSED = getattr(select, "POLLRDHUP", 0)  # Linux only


class RejectingProtocol(BoundedProtocol):
    """`BoundedProtocol` that asks an `EarlyRejection` first, while its limit rejects requests.

    A request is dropped if its client has closed the connection meanwhile: nobody would read the
    response. Without overload this costs the look at one attribute.
    """

    def __init__(self, *args: Any, early_rejection: EarlyRejection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early_rejection = early_rejection

    def data_received(self, data: bytes) -> None:
        """Reject a request at the limit; parse anything else."""
        if self._early_rejection.limit.rejecting and self.is_between_requests():
            response = self._early_rejection(data)
            if response is not None:
                self.transport.write(response)
                self.count_request()
                return
            if self._client_has_left():
                self.transport.abort()
                return
        super().data_received(data)

    def _client_has_left(self) -> bool:
        closed = select.poll()
        closed.register(self.transport.get_extra_info("socket").fileno(), _CLIENT_CLOSED)
        return bool(closed.poll(0))
