"""What the check of a service that is called by gRPC proves, and in which words it fails."""

from collections.abc import Callable

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from ...health import CheckFailed, CheckResult, PermanentFailure


class NotServing(CheckFailed):
    """The service says that it does not serve."""


class StatusUnknown(CheckFailed):
    """The server does not know whether the service serves."""


class ServiceUnknown(CheckFailed):
    """The server calls the service unknown, which the protocol has for watchers only."""


class UnexpectedStatus(CheckFailed):
    """The call ended with a status code that says nothing of the service's health."""


class NotRegistered(PermanentFailure):
    """The server's health service has never heard of the service."""


class NoHealthService(PermanentFailure):
    """The server has no `grpc.health.v1`."""


class PermissionDenied(PermanentFailure):
    """The server tells its health to others, not to us."""


STATUSES: dict[int, tuple[type[CheckFailed], str]] = {
    health_pb2.HealthCheckResponse.NOT_SERVING: (NotServing, "the service does not serve"),
    health_pb2.HealthCheckResponse.UNKNOWN: (StatusUnknown, "the server does not know its health"),
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN: (ServiceUnknown, "the service is not known"),
}
CODES: dict[grpc.StatusCode, tuple[type[CheckFailed], str]] = {
    grpc.StatusCode.NOT_FOUND: (NotRegistered, "the service is not registered"),
    grpc.StatusCode.UNIMPLEMENTED: (NoHealthService, "the server has no health service"),
    grpc.StatusCode.UNAUTHENTICATED: (PermissionDenied, "the server wants to know who asks"),
    grpc.StatusCode.PERMISSION_DENIED: (PermissionDenied, "the server does not tell us"),
}
NOT_REACHED: dict[grpc.StatusCode, type[OSError]] = {
    grpc.StatusCode.UNAVAILABLE: ConnectionError,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimeoutError,  # a proxy's: our own deadline is the engine's
}


class HealthProbe:
    """Asks a service for its health, on a connection of its own, by the protocol of gRPC.

    connect: opens a channel, which connects when it is first used.
    on_connect: called when a new channel has brought its first answer.
    service: the name under which the service is registered; "" is the server as a whole.

    A channel that failed is thrown away, as its back-off would hide that the service is back.
    """

    def __init__(
        self, connect: Callable[[], grpc.aio.Channel], on_connect: Callable[[], None], service: str
    ) -> None:
        self._connect = connect
        self._on_connect = on_connect
        self._service = service
        self._channel: grpc.aio.Channel | None = None

    async def check(self) -> CheckResult:
        """Pass if `grpc.health.v1` says SERVING."""
        seen = {"service": self._service}
        try:
            status = await self._ask()
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in NOT_REACHED:
                raise NOT_REACHED[code](error.details()) from error
            fault, sentence = CODES.get(code, (UnexpectedStatus, "the call failed"))
            raise fault(sentence, code=code.name, **seen) from error
        if status != health_pb2.HealthCheckResponse.SERVING:
            fault, sentence = STATUSES.get(status, (StatusUnknown, "the answer is not known"))
            raise fault(sentence, **seen)
        return CheckResult(data=seen)

    async def _ask(self) -> int:
        channel = self._channel or self._connect()
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=self._service))
        except BaseException as error:  # the engine's cancellation is the call's deadline
            self._channel = None
            await channel.close()
            # As long as a traceback holds the call, even a closed channel goes on connecting.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        if self._channel is None:
            self._channel = channel
            self._on_connect()
        return int(answer.status)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
