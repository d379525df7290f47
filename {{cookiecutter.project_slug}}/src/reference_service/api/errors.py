"""Answer what the framework rejects, and what a dependency fails, as RFC 9457 problems."""

import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ..redaction import redact
from ..resilience.problem import MEDIA_TYPE, problem_body
from ..traffic import CircuitOpenError, WorkAbandonedError

log = logging.getLogger(__name__)


def add_error_handlers(
    app: FastAPI,
    unavailable_errors: Iterable[type[Exception]],
    timeout_errors: Iterable[type[Exception]] = (),
    on_reject: Callable[[], None] = lambda: None,
) -> None:
    """Give every error response of an application a problem body.

    unavailable_errors: what clients of dependencies raise when the dependency is unavailable. The
        answer is 503, because a retry can succeed.
    timeout_errors: what they raise when it responds too late. The answer is 504.
    on_reject: called for each request that was rejected because a check fails.
    """

    async def reject(request: Request, _: Exception) -> Response:
        on_reject()
        request.state.rejected = "circuit_open"
        return _answer_503(request, "A dependency is unavailable, so nothing was done; try again.")

    app.add_exception_handler(CircuitOpenError, reject)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(WorkAbandonedError, _unavailable)
    for error in unavailable_errors:
        app.add_exception_handler(error, _unavailable)
    for error in timeout_errors:
        app.add_exception_handler(error, _timed_out)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered above
    body = problem_body(request.scope, error.status_code, redact(str(error.detail)))
    headers = dict(error.headers or {})
    if request.scope["path"] == "*":  # RFC 9110, section 9.3.7: OPTIONS for the whole server
        return Response(status_code=204)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
        headers["Allow"] = methods
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    return Response(body, error.status_code, headers, MEDIA_TYPE)


def _methods(request: Request) -> str:
    """Return every method of the resource: the framework names those of its first route only."""
    context = request.scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path_format", None)
    operations = request.app.openapi()["paths"].get(path, {})
    methods = [method.upper() for method in operations]
    if "GET" in methods:
        methods.append("HEAD")
    return ", ".join([*methods, "OPTIONS"] if methods else [])


async def _validation_error(request: Request, error: Exception) -> Response:
    """Report every error and its place. Invalid values are not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered above
    errors = [
        {"pointer": json_pointer(each["loc"], each["type"]), "detail": redact(each["msg"])}
        for each in error.errors()
    ]
    body = problem_body(request.scope, 422, "The request is not valid.", errors=errors)
    return Response(body, 422, media_type=MEDIA_TYPE)


def json_pointer(location: Sequence[str | int], kind: str = "") -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, section 6), for example `#/name`.

    It points into the body. For a parameter it starts with the place, for example `#/query/limit`.

    location: the place as pydantic reports it. kind: pydantic's name of the error.
    """
    place, *path = location
    if place != "body":
        path = [place, *path]
    elif kind == "json_invalid":
        path = []  # pydantic gives the position of the character, which is not a member
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return "#" + "".join(f"/{quote(part, safe='~')}" for part in parts)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("dependency unavailable", extra={"error": type(error).__name__})
    return _answer_503(request, "A dependency is unavailable; try again.")


def _answer_503(request: Request, detail: str) -> Response:
    body = problem_body(request.scope, 503, detail)
    return Response(body, 503, {"retry-after": "1"}, MEDIA_TYPE)


async def _timed_out(request: Request, error: Exception) -> Response:
    log.warning("dependency timed out", extra={"error": type(error).__name__})
    body = problem_body(request.scope, 504, "A dependency did not respond in time; try again.")
    return Response(body, 504, media_type=MEDIA_TYPE)
