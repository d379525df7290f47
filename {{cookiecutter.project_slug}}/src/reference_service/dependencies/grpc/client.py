"""Services that this one calls by gRPC: a channel to each, and one to each for its health check."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import grpc  # type: ignore[import-untyped]
from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ...health import Check
from .. import FailureCallback
from .calls import FailureReporter, ServiceUnavailableError
from .checks import HealthProbe

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # a proxy for the web is none for neighbours
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # a service that is back is not kept waiting
    ("grpc.min_reconnect_backoff_ms", 1000),  # despite its name what one try to connect may take
)
KEEPALIVE = (
    # A connection that hangs under a call is replaced within 15 s: without these never, without the
    # last after 60 s. Servers cut off whoever pings during minutes of their silence, unless told
    # otherwise, so a stream that is silent for so long needs a server that permits it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
)
TRACED_AS = {"rpc.system.name": "grpc", "rpc.method": "grpc.health.v1.Health/Check"}
PROBE = (("grpc.enable_retries", 0),)  # the health engine retries


@dataclass(frozen=True, slots=True)
class Target:
    """A service to call: what we call it, `host:port`, and its name for the health service."""

    name: str
    address: str
    service: str


def _read_targets(text: str) -> tuple[Target, ...]:
    targets: dict[str, Target] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        parts = re.fullmatch(r"([a-z][a-z0-9_-]*)=([^\s/=]+:(\d{1,5}))(?:/(\S*))?", entry)
        if parts is None or not 0 < int(parts[3]) < 1 << 16:
            message = f"{entry!r} is not name=host:port/service, the name in a-z, 0-9, '_' and '-'"
            raise ValueError(message)
        if parts[1] in targets:
            message = f"two targets are named {parts[1]!r}"
            raise ValueError(message)
        targets[parts[1]] = Target(parts[1], parts[2], parts[4] or "")
    if not targets:
        message = "it names no target"
        raise ValueError(message)
    return tuple(targets.values())


class GrpcSettings(BaseSettings):
    """Which services are called by gRPC, and where they are."""

    model_config = SettingsConfigDict(env_prefix="GRPC_")

    targets: Annotated[tuple[Target, ...], NoDecode, BeforeValidator(_read_targets)] = Field(
        description="Services to call, as name=host:port/service,…; "
        "`service` is what its health is registered as, and may be left out."
    )


class Grpc:
    """The services that this one calls, by stubs that the protocol compiler made.

        stub = OrdersStub(grpc.channel("orders"))
        order = await stub.Get(GetRequest(id=1), timeout=1.0)

    Make the stub where it is used: that costs microseconds, and the channel is the current one.
    """

    unavailable_errors = (ServiceUnavailableError,)

    def __init__(self, settings: GrpcSettings) -> None:
        self._targets = {target.name: target for target in settings.targets}
        self._probes = {target.name: self._probe(target) for target in settings.targets}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._previous: dict[str, grpc.aio.Channel] = {}
        self._on_failure: FailureCallback = lambda _: None

    def channel(self, name: str) -> grpc.aio.Channel:
        """Return the channel to a service; call it in the event loop. It connects when needed.

        A unary call on it raises ServiceUnavailableError, which is answered 503, when it does not
        reach the service, and AioRpcError for other codes. Raises KeyError for an unknown name.
        """
        if name not in self._channels:
            evidence = FailureReporter(lambda: self._on_failure(f"grpc.{name}"))
            self._channels[name] = grpc.aio.insecure_channel(
                self._targets[name].address, options=OPTIONS + KEEPALIVE, interceptors=[evidence]
            )
        return self._channels[name]

    def checks(self) -> Iterable[Check]:
        """Return a check for each service."""
        return [
            Check(f"grpc.{name}", probe.check, attributes=TRACED_AS)
            for name, probe in self._probes.items()
        ]

    def on_failure(self, callback: FailureCallback) -> None:
        """FailureCallback a service when a unary call does not reach it."""
        self._on_failure = callback

    async def close(self) -> None:
        """Close every connection."""
        for opened in (*self._probes.values(), *self._channels.values(), *self._previous.values()):
            await opened.close()

    def _probe(self, target: Target) -> HealthProbe:
        def connect() -> grpc.aio.Channel:
            return grpc.aio.insecure_channel(target.address, options=OPTIONS + PROBE)

        return HealthProbe(connect, lambda: self._replace_channel(target.name), target.service)

    def _replace_channel(self, name: str) -> None:
        """Have further calls connect anew, since the check had to: a channel may wait for minutes.

        Calls in flight go on. The former channel is kept until the next one is, for those that
        have just been made on it.
        """
        if name in self._channels:
            self._previous[name] = self._channels.pop(name)
