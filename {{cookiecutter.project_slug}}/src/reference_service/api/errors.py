"""Turns what the application refuses into application/problem+json, RFC 9457."""

import logging
from collections.abc import Iterable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ..resilience.problem import MEDIA_TYPE, problem_body

log = logging.getLogger(__name__)

METHOD_NOT_ALLOWED = 405


def install(app: FastAPI, unavailable: Iterable[type[Exception]]) -> None:
    """Answer the framework's own refusals, and dependencies that are away, with error bodies.

    unavailable: exceptions that mean that a dependency cannot be reached: 503, worth a retry.
    """
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    for error in unavailable:
        app.add_exception_handler(error, _unavailable)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered above
    body = problem_body(request.scope, error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == METHOD_NOT_ALLOWED and (methods := _methods(request)):
        headers["Allow"] = methods
    return Response(body, error.status_code, headers, MEDIA_TYPE)


def _methods(request: Request) -> str:
    """Return every method of the resource: the framework names those of its first route alone."""
    context = request.scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path_format", None)
    operations = request.app.openapi()["paths"].get(path, {})
    return ", ".join(method.upper() for method in operations)


async def _invalid(request: Request, error: Exception) -> Response:
    """Say what is wrong and where; the value itself is not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered above
    errors = [
        {"pointer": ".".join(str(part) for part in fault["loc"]), "detail": fault["msg"]}
        for fault in error.errors()
    ]
    body = problem_body(request.scope, 422, "The request is not valid.", errors=errors)
    return Response(body, 422, media_type=MEDIA_TYPE)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("a dependency is unavailable", extra={"error": type(error).__name__})
    body = problem_body(request.scope, 503, "A dependency is unavailable; try again.")
    return Response(body, 503, {"retry-after": "1"}, MEDIA_TYPE)
