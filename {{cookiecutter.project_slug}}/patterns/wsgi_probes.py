"""The probes for a WSGI application, such as one of Flask or Django.

    registry = Registry([Check("database", check_database)])
    app.wsgi_app = WSGIProbes(app.wsgi_app, registry)

The checks run in a thread with an event loop of its own. It starts with the first request, so that
each worker process of a pre-fork server, such as gunicorn, has one.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from .health import Answer, Probe, Registry, probes

StartResponse = Callable[..., Any]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class WSGIProbes:
    """Serves `GET`, `HEAD` and `OPTIONS` of the probes (PEP 3333). Other requests go to `app`.

    An error response makes every check run again. Checks that are plain `def` functions run in
    threads of their own.

    paths: the probes by path, for example `{"/healthz": Probe.LIVE}`.
    """

    def __init__(
        self, app: WSGIApp, registry: Registry, *, paths: Mapping[str, Probe] = probes.PATHS
    ) -> None:
        self.app = app
        self.registry = registry
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0  # whose thread it is: threads do not survive a fork
        self._paths = paths

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a probe; pass everything else to the application."""
        loop = self._start_once()
        probe = self._paths.get(environ.get("PATH_INFO", ""))
        if probe is not None and environ["REQUEST_METHOD"] in probes.METHODS:
            return _respond(self.registry.answer(probe), environ, start_response)

        def watch(status: str, *arguments: Any) -> Any:
            if int(status[:3]) in probes.RECHECK_STATUS_CODES:
                loop.call_soon_threadsafe(self.registry.recheck)
            return start_response(status, *arguments)

        return self.app(environ, watch)

    def _start_once(self) -> asyncio.AbstractEventLoop:
        """Start the thread of this process unless it runs, and return its loop."""
        if self._loop is not None and self._process == os.getpid():
            return self._loop
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                loop = asyncio.new_event_loop()
                name = "health checks"
                threading.Thread(target=self._run, args=[loop], name=name, daemon=True).start()
                self._loop, self._process = loop, os.getpid()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(self.registry.start())
        self.registry.started_up = True
        loop.run_forever()


def _respond(
    answer: Answer, environ: Mapping[str, Any], start_response: StartResponse
) -> Iterable[bytes]:
    start, body = probes.RESPONSES[answer]
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    start_response(f"{answer.code} {HTTPStatus(answer.code).phrase}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body["body"]]
