"""Fail at once what needs a dependency whose check fails.

    payments = CircuitBreaker("payments")
    payments.watch(registry)
    receipt = await payments.run(pay, order)

The attempts of the check open and close the circuit. So no request has to try whether the
dependency is back, and an error in a request opens nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

from ..health import Monitor, Registry, Status
from ..health.tasks import ignore_exception

P = ParamSpec("P")
T = TypeVar("T")


class CircuitOpenError(Exception):
    """A check fails, so the work was not started."""


class WorkAbandonedError(Exception):
    """A check failed during the work. The work was cancelled, and may have happened."""


class CircuitBreaker:
    """Runs work, unless one of these checks fails. Their impact makes no difference.

    checks: their names. allow: errors of these checks with which the work can succeed.

    Before the first result, and when a result has expired, work runs: nothing is known.
    """

    def __init__(self, *checks: str, allow: Iterable[type[Exception]] = ()) -> None:
        self._checks = checks
        self._allowed = {error.__name__ for error in allow}
        self._monitors: list[Monitor] = []
        self._waiting: set[asyncio.Future[None]] = set()

    def watch(self, registry: Registry) -> None:
        """Use the results of a registry from now on. Raises KeyError if it lacks a check."""
        self._monitors = [registry.monitors[name] for name in self._checks]
        self._clock = registry.clock
        registry.on_result(self._abandon_work)

    def is_open(self) -> bool:
        """Return whether a check fails."""
        return any(map(self._fails, self._monitors))

    async def run(
        self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return the result of the work.

        Raises CircuitOpenError at once, or WorkAbandonedError as soon as a check fails meanwhile.
        Drivers can take seconds to react to a cancellation: nothing waits for that.
        """
        if self.is_open():
            raise CircuitOpenError(*self._checks)
        task = asyncio.create_task(work(*args, **kwargs))
        waiting: asyncio.Future[None] = task.get_loop().create_future()
        task.add_done_callback(lambda _: None if waiting.done() else waiting.set_result(None))
        self._waiting.add(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            self._waiting.discard(waiting)
            ignore_exception(task)
            task.cancel()
        return task.result()

    def _fails(self, monitor: Monitor) -> bool:
        state = monitor.state
        failed = state.status is Status.FAIL and state.attempts and state.error not in self._allowed
        return bool(failed) and not monitor.stale(self._clock())

    def _abandon_work(self) -> None:
        if self._waiting and self.is_open():
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(WorkAbandonedError(*self._checks))
