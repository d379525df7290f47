"""The client of gRPC services: one channel to each for calls, and one for its health check."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import grpc  # type: ignore[import-untyped]

from ...health import Check
from ...traffic import CircuitBreaker
from .. import Dependency, FailureCallback
from ..certificates import watch
from .checks import UNPROVEN, HealthClient
from .settings import GrpcSettings, Target
from .tls import ChannelTls, channel_tls, require_tls

CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # a proxy for the web does not lead to internal services
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # reconnects within a second of a recovery
    ("grpc.min_reconnect_backoff_ms", 1000),  # despite its name: how long one attempt may take
)
KEEPALIVE_OPTIONS = (
    # A connection that hangs during a call is replaced within 15 s. Without these options it is
    # never replaced, and without the last one after 60 s. By default, servers disconnect clients
    # that ping during minutes of silence: a stream that is silent so long needs one that does not.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
)
CHECK_OPTIONS = (("grpc.enable_retries", 0),)  # the health engine retries
CHECK_ATTRIBUTES = {"rpc.system.name": "grpc", "rpc.method": "grpc.health.v1.Health/Check"}


class ServiceUnavailableError(grpc.aio.AioRpcError):  # type: ignore[misc]
    """A call ended with UNAVAILABLE: a later call can succeed."""


class ServiceTimeoutError(grpc.aio.AioRpcError):  # type: ignore[misc]
    """A call ended with DEADLINE_EXCEEDED: a later call can succeed."""


ERRORS: dict[grpc.StatusCode, type[Exception]] = {
    grpc.StatusCode.UNAVAILABLE: ServiceUnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: ServiceTimeoutError,
}


class FailureReporter(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Reports the unary calls that do not reach the service. Streaming calls are not changed.

    While the check of the service fails, unary calls are not sent.
    """

    def __init__(self, report: Callable[[], None], circuit_breaker: CircuitBreaker) -> None:
        self._report = report
        self._circuit_breaker = circuit_breaker

    async def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        """Wait for a call. Raises AioRpcError, one of `ERRORS`, or CircuitOpenError."""
        return await self._circuit_breaker.run(self._call, proceed, details, request)

    async def _call(self, proceed: Any, details: Any, request: Any) -> Any:
        call = await proceed(details, request)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            if error.code() not in ERRORS:
                raise
            self._report()
            metadata = error.initial_metadata(), error.trailing_metadata()
            details = error.details(), error.debug_error_string()
            raise ERRORS[error.code()](error.code(), *metadata, *details) from error
        return call


class Grpc(Dependency):
    """The services that this service calls, with the stubs that the protocol compiler generated.

        stub = OrdersStub(grpc.channel("orders"))
        order = await stub.Get(GetRequest(id=1), timeout=1.0)

    Create the stub where it is used: it costs microseconds and gets the current channel.
    names: of the services, in the order of the settings.

    Raises SettingsError if the settings of TLS cannot be used.
    """

    unavailable_errors = (ServiceUnavailableError,)
    timeout_errors = (ServiceTimeoutError,)

    def __init__(self, settings: GrpcSettings) -> None:
        self.names = [target.name for target in settings.targets]
        self._targets = {target.name: target for target in settings.targets}
        self._tls = {target.name: channel_tls(target, settings) for target in settings.targets}
        require_tls(settings, used=any(self._tls.values()))
        self._health_clients = {
            target.name: HealthClient(
                partial(_open_channel, target, self._tls[target.name], CHECK_OPTIONS),
                partial(self._replace_channel, target.name),
                target.service,
                *([tls.versions] if (tls := self._tls[target.name]) else []),
            )
            for target in settings.targets
        }
        self._circuit_breakers = {
            name: CircuitBreaker(f"grpc.{name}", allow=UNPROVEN) for name in self.names
        }
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._previous: dict[str, grpc.aio.Channel] = {}
        self._on_failure: FailureCallback = lambda _: None

    def channel(self, name: str) -> grpc.aio.Channel:
        """Return the channel to a service. Call this in the event loop; it connects when needed.

        A unary call that does not reach the service raises ServiceUnavailableError, which becomes
        a 503 response, or ServiceTimeoutError after its deadline, a 504 response. While the check
        of the service fails, it raises CircuitOpenError at once. Other status codes raise
        AioRpcError. Raises KeyError for an unknown name.
        """
        if name not in self._channels:
            reporter = FailureReporter(
                lambda: self._on_failure(f"grpc.{name}"), self._circuit_breakers[name]
            )
            target, tls = self._targets[name], self._tls[name]
            self._channels[name] = _open_channel(target, tls, KEEPALIVE_OPTIONS, reporter)
        return self._channels[name]

    def checks(self) -> Iterable[Check]:
        for name, client in self._health_clients.items():
            check = Check(f"grpc.{name}", client.check, attributes=CHECK_ATTRIBUTES)
            tls = self._tls[name]
            yield watch(check, tls.inspect) if tls else check

    def circuit_breakers(self) -> Iterable[CircuitBreaker]:
        return self._circuit_breakers.values()

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` with the name of a check when a unary call does not reach its service."""
        self._on_failure = callback

    async def close(self) -> None:
        channels = (*self._channels.values(), *self._previous.values())
        for resource in (*self._health_clients.values(), *channels):
            await resource.close()

    def _replace_channel(self, name: str) -> None:
        """Make later calls open a new connection, because the check had to open one.

        The current channel could wait for minutes. It stays open for the calls in flight.
        """
        if name in self._channels:
            self._previous[name] = self._channels.pop(name)


def _open_channel(
    target: Target,
    tls: ChannelTls | None,
    options: tuple[tuple[str, int], ...],
    *interceptors: FailureReporter,
) -> grpc.aio.Channel:
    options = CHANNEL_OPTIONS + options
    if tls is None:
        return grpc.aio.insecure_channel(target.address, options=options, interceptors=interceptors)
    return grpc.aio.secure_channel(
        target.address,
        tls.credentials(),
        options=(*options, *tls.options),
        interceptors=interceptors,
    )
