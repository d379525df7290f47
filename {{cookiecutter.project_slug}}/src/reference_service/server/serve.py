"""Serves both ports, and leaves on SIGTERM without losing a request."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import resource
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Literal, NoReturn

import uvicorn
import uvloop

from ..environment import SettingsError
from ..health import ManagementApp, Probes
from ..health.asgi import ASGIApp
from ..settings import ServiceSettings
from .graceful_shutdown import DrainingServer
from .slow_clients import BoundedProtocol

log = logging.getLogger(__name__)

NOTSENT_LOWAT = 16_384
"""Bytes of responses that the kernel takes ahead of each client."""
GC_THRESHOLD = 10_000
"""Objects that are made, and not yet gone, between two looks for cycles: Python's own is 700."""


def run(
    app: Probes,
    management: ManagementApp,
    settings: ServiceSettings,
    tally: Counter[str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return; `leave` the process after it.

    app is for everybody, management for the management port.
    Raises SettingsError when a port cannot be had.
    """
    _raise_fd_limit()
    _freeze_gc()
    public = listen("SERVICE_PORT", settings.bind_host, settings.port)
    private = listen(
        "SERVICE_MANAGEMENT_PORT", settings.management_bind_host, settings.management_port
    )
    with public, private:
        # The runner is never closed: that would wait for tasks that hang in a broken dependency.
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        counts = Counter[str]() if tally is None else tally
        runner.run(_serve(app, management, settings, (public, private), counts))


def _raise_fd_limit() -> None:
    """Raise the limit of open files to what the system grants, as Go's runtime does.

    The usual 1024 are for programs that use `select`. They are fewer than the requests that may be
    in flight, and whoever held them all would leave none for a probe.
    """
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS grants more than it gives
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))


def _freeze_gc() -> None:
    """Have the garbage collector leave alone what stays for good: code, routes, models.

    Else it looks at all of that again and again, for tens of milliseconds at a time in which
    nobody is answered, not even a probe.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def listen(variable: str, host: str, port: int) -> socket.socket:
    """Return a listening socket; clients may connect from now on, and wait.

    Raises SettingsError naming the variable to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(
            [f"{variable}: cannot listen on {host} port {port}: {reason}"]
        ) from error
    # Connections inherit it. By default the kernel takes megabytes at once, then nothing for as
    # long as a slow client needs for them: it would look as if the client took nothing.
    with contextlib.suppress(OSError):  # not every sandbox knows it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    return listener


async def _serve(
    app: Probes,
    management: ManagementApp,
    settings: ServiceSettings,
    sockets: tuple[socket.socket, socket.socket],
    tally: Counter[str],
) -> None:
    public, private = sockets
    config = _config(app, settings, tally, lifespan="on")
    server = DrainingServer(config, app.registry, delay=settings.drain_delay)
    management_server = _ManagementServer(_config(management, settings, tally, lifespan="off"))
    managing = asyncio.create_task(management_server.serve(sockets=[private]))
    log.info("serving", extra={"address": _address(public), "management": _address(private)})
    try:
        await server.serve(sockets=[public])
    finally:
        management_server.should_exit = management_server.force_exit = True
        await managing
        log.info("stopped")


def _config(
    app: ASGIApp, settings: ServiceSettings, tally: Counter[str], *, lifespan: Literal["on", "off"]
) -> uvicorn.Config:
    """Configure uvicorn to add nothing of its own to requests, responses and logs."""
    return uvicorn.Config(
        app,
        http=partial(  # type: ignore[arg-type]
            BoundedProtocol,
            header_timeout=settings.header_timeout,
            io_timeout=settings.io_timeout,
            max_header_bytes=settings.max_header_bytes,
            tally=tally,
        ),
        timeout_keep_alive=settings.keep_alive_timeout,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout),
        lifespan=lifespan,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


class _ManagementServer(uvicorn.Server):
    """uvicorn without its signal handlers: it ends when the other server does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def exit_process(status: int) -> NoReturn:
    """End the process now: a thread or task that hangs in a broken dependency must not hold it."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
