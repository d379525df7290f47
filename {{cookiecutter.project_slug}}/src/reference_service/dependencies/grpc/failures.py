"""Reports unary calls that did not reach their service, and raises an error of their own."""

from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped]

UNREACHED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class ServiceUnavailableError(grpc.aio.AioRpcError):  # type: ignore[misc]
    """A call ended with UNAVAILABLE or DEADLINE_EXCEEDED: a later call can succeed."""


class FailureReporter(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Intercepts the unary calls on a channel. Errors of streaming calls are not changed.

    report: called when a call did not reach the service.
    """

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report

    async def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        """Wait for a call and return it. Raises ServiceUnavailableError or AioRpcError."""
        call = await proceed(details, request)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            if error.code() not in UNREACHED:
                raise
            self._report()
            raise ServiceUnavailableError(
                error.code(),
                error.initial_metadata(),
                error.trailing_metadata(),
                error.details(),
                error.debug_error_string(),
            ) from error
        return call
