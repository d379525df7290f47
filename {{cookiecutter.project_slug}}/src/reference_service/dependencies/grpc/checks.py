"""The check of a gRPC service: it passes if `grpc.health.v1` reports SERVING."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from ...health import CheckFailed, CheckResult, PermanentFailure


class NotServing(CheckFailed):
    """The service reports NOT_SERVING."""


class StatusUnknown(CheckFailed):
    """The server does not know the status of the service."""


class ServiceUnknown(CheckFailed):
    """The server reports SERVICE_UNKNOWN, which the protocol reserves for watchers."""


class UnexpectedStatus(CheckFailed):
    """The call ended with a status code that says nothing about the service's health."""


class NotRegistered(PermanentFailure):
    """The service is not registered with the server's health service."""


class NoHealthService(PermanentFailure):
    """The server does not implement `grpc.health.v1`."""


class PermissionDenied(PermanentFailure):
    """The server does not report its health to this client."""


# With these the check fails, but they say nothing about other calls.
UNPROVEN = (
    StatusUnknown,
    ServiceUnknown,
    UnexpectedStatus,
    NotRegistered,
    NoHealthService,
    PermissionDenied,
)

STATUSES: dict[int, tuple[type[CheckFailed], str]] = {
    health_pb2.HealthCheckResponse.NOT_SERVING: (NotServing, "the service is not serving"),
    health_pb2.HealthCheckResponse.UNKNOWN: (StatusUnknown, "the status is unknown"),
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN: (ServiceUnknown, "the service is unknown"),
}
STATUS_CODES: dict[grpc.StatusCode, tuple[type[CheckFailed], str]] = {
    grpc.StatusCode.NOT_FOUND: (NotRegistered, "the service is not registered"),
    grpc.StatusCode.UNIMPLEMENTED: (NoHealthService, "the server has no health service"),
    grpc.StatusCode.UNAUTHENTICATED: (PermissionDenied, "the server requires authentication"),
    grpc.StatusCode.PERMISSION_DENIED: (PermissionDenied, "the server denied permission"),
}
TRANSIENT_CODES: dict[grpc.StatusCode, type[OSError]] = {
    grpc.StatusCode.UNAVAILABLE: ConnectionError,
    # From a proxy: this call sets no deadline, because the engine bounds each attempt.
    grpc.StatusCode.DEADLINE_EXCEEDED: TimeoutError,
}


@dataclass(eq=False)
class HealthClient:
    """Calls the health service of a server on a channel of its own.

    A channel that failed is closed, because its back-off would hide that the service is back. One
    whose certificates have been renewed is replaced, if a new one works.
    """

    connect: Callable[[], grpc.aio.Channel]  # opens a channel, which connects when first used
    on_connect: Callable[[], None]  # called when a new channel has received its first response
    service: str  # the name under which the service is registered; "" is the server as a whole
    versions: Callable[[], object] = lambda: None  # of the certificates
    _channel: grpc.aio.Channel | None = field(default=None, init=False)
    _versions: object = field(default=None, init=False)

    async def check(self) -> CheckResult:
        """Pass if the server reports SERVING."""
        data = {"service": self.service}
        try:
            status = await self._get_status()
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in TRANSIENT_CODES:
                raise TRANSIENT_CODES[code](error.details()) from error
            failure, detail = STATUS_CODES.get(code, (UnexpectedStatus, "the call failed"))
            raise failure(detail, code=code.name, **data) from error
        if status != health_pb2.HealthCheckResponse.SERVING:
            failure, detail = STATUSES.get(status, (StatusUnknown, "the status is not known"))
            raise failure(detail, **data)
        return CheckResult(data=data)

    async def _get_status(self) -> int:
        versions, self._versions = self._versions, self.versions()
        if self._channel and versions != self._versions:
            with contextlib.suppress(grpc.aio.AioRpcError):  # the open channel works
                return await self._call(self.connect())
        return await self._call(self._channel or self.connect())

    async def _call(self, channel: grpc.aio.Channel) -> int:
        """Return the status. A new channel that works replaces the other one."""
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            response = await stub.Check(health_pb2.HealthCheckRequest(service=self.service))
        except BaseException as error:  # the engine cancels a call that takes too long
            if channel is self._channel:
                self._channel = None
            await channel.close()
            # While a traceback refers to the call, even a closed channel continues to connect.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        if channel is not self._channel:
            await self.close()
            self._channel = channel
            self.on_connect()
        return int(response.status)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
