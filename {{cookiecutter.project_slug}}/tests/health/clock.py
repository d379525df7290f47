"""An event loop on virtual time: sleeping takes no time, and each run of a test is the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Moves the clock to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            message = "no timer is left, so everything would wait forever"
            raise RuntimeError(message)
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. Pass `now` to a Registry as its clock."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stand_still(self, seconds: float) -> None:
        """Let time go on while nothing runs, as during SIGSTOP."""
        self._virtual.now += seconds


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


def now() -> float:
    """Return the virtual time in seconds."""
    return asyncio.get_running_loop().time()
