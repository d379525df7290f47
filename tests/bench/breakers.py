"""The service's routes behind a library's circuit breaker: `python -m bench.breakers NAME PORT`.

The application has no health checks. A call that takes longer than `CALL_TIMEOUT` fails, because
otherwise the breaker would see no failure before the timeout of the pool.
"""

# mypy: ignore-errors
# It runs with the packages of the generated service, and with those of `LIBRARIES`.

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

LIBRARIES = {"aiobreaker": "aiobreaker==1.2.0", "purgatory": "purgatory==3.0.1"}
"""The libraries by the names of their modules, and what to install."""
THRESHOLD, RESET_TIMEOUT, CALL_TIMEOUT = 5, 5.0, 1.0
"""Failures in a row that open the circuit, seconds until a request tries again, seconds of a call.

Five is the default of both libraries. Their default reset timeout is longer: 60 s and 30 s.
"""

Call = Callable[..., Awaitable[object]]


def aiobreaker() -> tuple[Call, type[Exception]]:
    """Return what makes a call through this library, and the error of an open circuit."""
    from aiobreaker import CircuitBreaker, CircuitBreakerError  # noqa: PLC0415 - one of several

    breaker = CircuitBreaker(THRESHOLD, timedelta(seconds=RESET_TIMEOUT))
    return breaker.call_async, CircuitBreakerError


def purgatory() -> tuple[Call, type[Exception]]:
    """Return the same for this library."""
    from purgatory import AsyncCircuitBreakerFactory  # noqa: PLC0415 - one of several
    from purgatory.domain.model import OpenedState  # noqa: PLC0415

    breakers = AsyncCircuitBreakerFactory(THRESHOLD, RESET_TIMEOUT)

    async def call(work: Call, *args: object) -> object:
        async with await breakers.get_breaker("postgres"):
            return await work(*args)

    return call, OpenedState


class GuardedItems:
    """An `ItemStore` whose every method is called through a breaker."""

    def __init__(self, store: object, call: Call) -> None:
        self._store, self._call = store, call

    def __getattr__(self, name: str) -> Call:
        method = getattr(self._store, name)

        async def within_timeout(*args: object) -> object:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await method(*args)

        async def guarded(*args: object) -> object:
            return await self._call(within_timeout, *args)

        return guarded


def main(library: Callable[[], tuple[Call, type[Exception]]], port: int) -> None:
    """Serve the application of the baseline, whose store is used through a breaker."""
    # The measurement imports this module without the packages of the service.
    import uvicorn  # noqa: PLC0415
    from measured_service.api import add_error_handlers  # noqa: PLC0415
    from measured_service.dependencies.postgres import Postgres, PostgresSettings  # noqa: PLC0415
    from measured_service.items import items_router  # noqa: PLC0415
    from measured_service.items.postgres import PostgresItems  # noqa: PLC0415

    from . import baseline  # noqa: PLC0415

    call, circuit_open = library()
    postgres = Postgres(PostgresSettings())
    app = baseline.create_app()
    app.include_router(items_router(GuardedItems(PostgresItems(postgres), call)))
    unavailable = {circuit_open, TimeoutError, *postgres.unavailable_errors}
    add_error_handlers(app, unavailable, postgres.timeout_errors)
    baseline.add_comparison_routes(app, baseline.memory_router())
    uvicorn.run(app, port=port, **baseline.UVICORN_OPTIONS)


if __name__ == "__main__":
    main({"aiobreaker": aiobreaker, "purgatory": purgatory}[sys.argv[1]], int(sys.argv[2]))
