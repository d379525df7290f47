"""Serve the service port and the management port, until SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Literal, NoReturn, Protocol

import uvicorn
import uvloop

from ..environment import SettingsError
from ..health import Probes
from ..health.asgi import ASGIApp
from ..resilience import EarlyRejection
from ..settings import ServiceSettings
from .graceful_shutdown import DrainingServer
from .http_protocol import BoundedProtocol
from .rejecting_protocol import RejectingProtocol
from .trusted_proxies import TrustedProxies

log = logging.getLogger(__name__)

ACCEPTS_PER_ITERATION = 8  # of the event loop; each costs 2 µs per new connection
NOTSENT_LOWAT = 16_384  # bytes of a response that the kernel takes in advance for each client
GC_THRESHOLDS = 10_000, 3, 50
"""New objects between two collections of the youngest, and collections between two of older ones.

Python's defaults are 700, 10 and 10. With these values a collection under load takes up to 34 ms.
"""


class Servable(Protocol):
    """What the two ports serve."""

    @property
    def app(self) -> Probes:
        """The application for the service port."""

    @property
    def management(self) -> ASGIApp:
        """The application for the management port, which must never be public."""

    @property
    def early_rejection(self) -> EarlyRejection:
        """What is asked before a request is parsed, on the service port."""

    @property
    def on_slow_client(self) -> Callable[[], None]:
        """Called for each client that is disconnected because it is slow."""

    @property
    def end_streams(self) -> Callable[[], None]:
        """Called when the listener has closed."""


def run(service: Servable, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. Call `exit_process` afterwards.

    Raises SettingsError if a port is not available.
    """
    _raise_fd_limit()
    _freeze_gc()
    rejecting = partial(RejectingProtocol, early_rejection=service.early_rejection)
    configure = partial(_config, settings, service.on_slow_client)
    proxies = settings.trusted_proxies
    app = TrustedProxies(service.app, proxies) if proxies else service.app
    config = configure(rejecting, app, "on")
    delay, end_streams = settings.drain_delay, service.end_streams
    server = DrainingServer(config, service.app.registry, delay=delay, on_shutdown=end_streams)
    management_server = uvicorn.Server(configure(BoundedProtocol, service.management, "off"))
    host, port = settings.management_bind_host, settings.management_port
    with (
        listen("SERVICE_PORT", settings.bind_host, settings.port) as public,
        listen("SERVICE_MANAGEMENT_PORT", host, port) as private,
    ):
        # The runner is never closed: that would wait for tasks that hang in a broken dependency.
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        runner.run(_serve(server, management_server, public, private))


def _raise_fd_limit() -> None:
    """Raise the limit of open files to what the system grants, as Go's runtime does.

    The usual 1024 are meant for programs that use `select`. They are fewer than the requests that
    may be in flight, and clients that hold all of them would leave none for a probe.
    """
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports more than it grants
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))


def _freeze_gc() -> None:
    """Exclude from garbage collection what stays for good: code, routes, models.

    Otherwise the collector scans all of it again and again, for tens of milliseconds at a time in
    which nothing is answered, not even a probe.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def listen(variable: str, host: str, port: int) -> socket.socket:
    """Return a listening socket. Clients can connect from now on, and wait.

    variable: the environment variable that sets the port. Raises SettingsError, which names it.
    """
    host = host.strip("[]")  # as in a URL
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=2048, dualstack_ipv6=both
        )
    except OSError as error:
        if error.errno and error.errno < 0:  # of the resolver
            raise SettingsError([f"SERVICE_HOST: {host!r} is not an address or a name."]) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        sentence = f"{variable}: cannot listen on {host} port {port}: {reason}"
        raise SettingsError([sentence]) from error
    # Connections inherit this option. By default, the kernel buffers megabytes, then accepts no
    # more until a slow client has read them. That client would appear to make no progress.
    with contextlib.suppress(OSError):  # some sandboxes do not support it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    return listener


async def _serve(
    server: uvicorn.Server,
    management_server: uvicorn.Server,
    public: socket.socket,
    private: socket.socket,
) -> None:
    # Without signal handlers: it ends when the server of the service port does.
    managing = asyncio.create_task(management_server._serve([private]))  # noqa: SLF001
    log.info("serving", extra={"address": _address(public), "management": _address(private)})
    # uvloop accepts one connection per listener and iteration of the event loop. With one listener,
    # a probe would wait for seconds while thousands of clients connect.
    listeners = [public, *(public.dup() for _ in range(ACCEPTS_PER_ITERATION - 1))]
    try:
        await server.serve(listeners)
    finally:
        management_server.should_exit = management_server.force_exit = True
        await managing
        log.info("stopped")


def _config(
    settings: ServiceSettings,
    on_slow_client: Callable[[], None],
    protocol: Callable[..., BoundedProtocol],
    app: ASGIApp,
    lifespan: Literal["on", "off"],
) -> uvicorn.Config:
    """Configure uvicorn to add nothing of its own to requests, responses and logs."""
    return uvicorn.Config(
        app,
        http=partial(  # type: ignore[arg-type]
            protocol,
            header_timeout=settings.header_timeout,
            io_timeout=settings.io_timeout,
            max_header_bytes=settings.max_header_bytes,
            on_slow_client=on_slow_client,
        ),
        timeout_keep_alive=settings.keep_alive_timeout,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout),
        lifespan=lifespan,
        reset_contextvars=True,  # of the previous request, if requests are pipelined
        log_config=None,
        log_level="warning",
        access_log=False,
        ws_max_size=settings.max_body_bytes,  # of a message; larger ones close it with 1009
        proxy_headers=False,  # see `TrustedProxies`
        server_header=False,
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def exit_process(status: int) -> NoReturn:
    """End the process now, even if a thread or task hangs in a broken dependency."""
    logging.shutdown()
    os._exit(status)
