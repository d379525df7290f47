"""The service's dependencies: one file each, with its settings, its client, its health checks."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from ..health import Check

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0
"""Seconds that the dependencies may take to say goodbye."""

FailureCallback = Callable[[str], None]
"""Told the name of a check, has it and those below it look again at once."""


class Dependency(Protocol):
    """A dependency. Making one opens nothing; it connects when it is first used."""

    @property
    def unavailable_errors(self) -> tuple[type[Exception], ...]:
        """What its client raises when the dependency cannot be reached."""

    def checks(self) -> Iterable[Check]:
        """Return its health checks."""

    def on_failure(self, callback: FailureCallback) -> None:
        """Report its client's trouble to `callback` from now on."""

    async def close(self) -> None:
        """Close what it has opened."""


R = TypeVar("R", bound=Dependency)


class Dependencies(list[Dependency]):
    """The dependencies of one service, in the order in which they were added."""

    def add(self, resource: R) -> R:
        """Add a dependency, and return it for use."""
        self.append(resource)
        return resource

    def checks(self) -> list[Check]:
        """Return the checks of all."""
        return [check for resource in self for check in resource.checks()]

    def on_failure(self, callback: FailureCallback) -> None:
        """Report every client's trouble to `callback`."""
        for resource in self:
            resource.on_failure(callback)

    async def close(self) -> None:
        """Close all at once. What hangs in a broken dependency is abandoned: the process ends."""
        closing = [asyncio.create_task(resource.close()) for resource in self]
        if closing:
            done, hung = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            for task in hung:
                task.cancel()
            failed = [task.exception() for task in done if task.exception()]
            if hung or failed:
                log.warning(
                    "some resources did not close cleanly",
                    extra={"hung": len(hung), "failed": failed},
                )
