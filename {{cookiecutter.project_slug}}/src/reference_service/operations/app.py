"""The HTTP API of the switches, for the management port."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..resilience.problem import MEDIA_TYPE, problem_body
from .stacks import profile, task_stacks
from .switches import Switches

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MAX_PROFILE_SECONDS = 60

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


def operations_mounts(switches: Switches) -> dict[str, ASGIApp]:
    """Return what the management port serves for operators, by path: nothing without a token."""
    if switches.token is None:
        return {}
    app = OperationsApp(switches, switches.token)
    return dict.fromkeys(app.paths, app)


class OperationsApp(Starlette):
    """The switches over HTTP. Each request needs `Authorization: Bearer TOKEN`.

    - `GET /operations`: the switches and the log level.
    - `PUT /operations/maintenance` and `/operations/read-only`, with `{"reason": "…"}`: turn it on.
      `DELETE` turns it off.
    - `PUT /operations/log-level`, with `{"level": "DEBUG"}`. `DELETE` restores the first level.
    - `GET /operations/tasks`: where each task waits.
    - `GET /operations/profile?seconds=10`: where the threads spend their time.

    paths: all of them.
    """

    def __init__(self, switches: Switches, token: SecretStr) -> None:
        self._switches, self._token = switches, token
        self._first_level = logging.getLogger().level
        endpoints: dict[str, Endpoint] = {
            "/operations": self._show,
            "/operations/log-level": self._set_level,
            "/operations/tasks": self._show_tasks,
            "/operations/profile": self._profile,
            **{f"/operations/{name}": self._switch for name in switches.by_name},
        }
        self.paths = list(endpoints)
        changing = (self._switch, self._set_level)
        routes = [
            Route(
                path,
                self._protected(endpoint),
                methods=["PUT", "DELETE"] if endpoint in changing else ["GET"],
            )
            for path, endpoint in endpoints.items()
        ]
        super().__init__(routes=routes, exception_handlers={HTTPException: _problem})

    def _protected(self, endpoint: Endpoint) -> Endpoint:
        async def respond(request: Request) -> Response:
            expected = f"Bearer {self._token.get_secret_value()}".encode()
            if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
                sentence = "Send the token: `Authorization: Bearer TOKEN`."
                raise HTTPException(401, sentence, {"www-authenticate": "Bearer"})
            return await endpoint(request)

        return respond

    async def _show(self, _: Request) -> Response:
        reasons = {name: switch.reason for name, switch in self._switches.by_name.items()}
        level = logging.getLevelName(logging.getLogger().level)
        return JSONResponse({**reasons, "log-level": level})

    async def _switch(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        reason = None if request.method == "DELETE" else await _text(request, "reason")
        self._switches.set(name, reason)
        return await self._show(request)

    async def _set_level(self, request: Request) -> Response:
        level: str | int = self._first_level
        if request.method == "PUT":
            level = await _text(request, "level")
            if level not in LEVELS:
                raise HTTPException(422, f"The level is one of {', '.join(LEVELS)}.")
        root = logging.getLogger()
        root.setLevel(logging.WARNING)  # so that the change is logged, whatever the levels are
        log.warning("log level changed", extra={"log_level": level})
        root.setLevel(level)
        return await self._show(request)

    async def _show_tasks(self, _: Request) -> Response:
        return PlainTextResponse(task_stacks())

    async def _profile(self, request: Request) -> Response:
        seconds = request.query_params.get("seconds", "10")
        if not seconds.isdecimal() or not 0 < int(seconds) <= MAX_PROFILE_SECONDS:
            raise HTTPException(422, f"`seconds` is a number from 1 to {MAX_PROFILE_SECONDS}.")
        return PlainTextResponse(await asyncio.to_thread(profile, int(seconds)))


async def _text(request: Request, name: str) -> str:
    """Return a member of the JSON body. Raises HTTPException if it is not a text."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(422, f'Send JSON with a text: {{"{name}": "…"}}.')
    return value.strip()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the only one it is registered for
    body = problem_body(request.scope, error.status_code, error.detail)
    return Response(body, error.status_code, error.headers, MEDIA_TYPE)
