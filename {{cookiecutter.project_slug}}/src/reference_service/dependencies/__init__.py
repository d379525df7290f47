"""The service's dependencies: one folder each, with its settings, its client and its checks."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from ..health import Check, Registry, Status
from ..telemetry import Metric
from ..traffic import CircuitBreaker

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0  # seconds in which all dependencies together close their connections

# Called with the name of a check when the client of its dependency fails.
FailureCallback = Callable[[str], None]


class Dependency(Protocol):
    """A dependency. Subclass it, and override only the members that apply.

    Creating a dependency opens nothing: it connects when it is first used.
    """

    optional: str = ""
    """What requests do without it, if they can. A failure of its checks then is only a warning."""

    @property
    def unavailable_errors(self) -> tuple[type[Exception], ...]:
        """What its client raises when the dependency is unavailable. The answer is 503."""
        return ()

    @property
    def timeout_errors(self) -> tuple[type[Exception], ...]:
        """What its client raises when the dependency responds too late. The answer is 504."""
        return ()

    def checks(self) -> Iterable[Check]:
        """Return its health checks."""

    def metrics(self) -> Iterable[Metric]:
        """Return the values that monitoring reads from it."""
        return ()

    def circuit_breakers(self) -> Iterable[CircuitBreaker]:
        """Return what rejects requests while its checks fail."""
        return ()

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` from now on whenever its client fails."""
        del callback  # by default, only error responses reveal a failure

    async def close(self) -> None:
        """Close what it has opened."""


D = TypeVar("D", bound=Dependency)


class Dependencies(list[Dependency]):
    """All dependencies of one service. Their order has no effect."""

    def add(self, dependency: D, *, optional: str = "") -> D:
        """Add a dependency, and return it for use.

        optional: what requests do without it. A failure of its checks then is only a warning.
        """
        self.append(dependency)
        dependency.optional = optional
        return dependency

    def unavailable_errors(self) -> set[type[Exception]]:
        """Return what the clients raise when their dependency is unavailable."""
        return {error for dependency in self for error in dependency.unavailable_errors}

    def timeout_errors(self) -> set[type[Exception]]:
        """Return what the clients raise when their dependency responds too late."""
        return {error for dependency in self for error in dependency.timeout_errors}

    def checks(self) -> list[Check]:
        """Return the checks of all. Those of an optional dependency only warn."""
        return [
            replace(check, impact=Status.WARN, impact_reason=dependency.optional)
            if dependency.optional
            else check
            for dependency in self
            for check in dependency.checks()
        ]

    def metrics(self) -> list[Metric]:
        """Return the metrics of all."""
        return [metric for dependency in self for metric in dependency.metrics()]

    def connect_checks(self, registry: Registry) -> None:
        """Let clients that fail bring their checks forward, and checks that fail stop requests."""
        for dependency in self:
            dependency.on_failure(registry.recheck)
            for circuit_breaker in dependency.circuit_breakers():
                circuit_breaker.watch(registry)

    async def close(self) -> None:
        """Close all at once. One that hangs is abandoned, because the process ends."""
        closing = [asyncio.create_task(dependency.close()) for dependency in self]
        if closing:
            done, hung = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            for task in hung:
                task.cancel()
            failed = [task.exception() for task in done if task.exception()]
            if hung or failed:
                extra = {"hung": len(hung), "failed": failed}
                log.warning("some resources did not close cleanly", extra=extra)
