"""The three questions that an orchestrator asks, and what they are answered."""

from collections.abc import Iterable
from enum import Enum, StrEnum

from .check import Status
from .monitor import Monitor


class Probe(StrEnum):
    """The three questions that an orchestrator asks."""

    STARTUP = "startup"
    READY = "ready"
    LIVE = "live"


class Answer(Enum):
    """What a probe says: a status, and the HTTP status code that carries it."""

    PASS = (Status.PASS, 200)
    WARN = (Status.WARN, 200)
    FAIL = (Status.FAIL, 503)
    TIMEOUT = (Status.FAIL, 504)

    # By identity: Enum would hash the name, in Python, at each probe.
    __hash__ = object.__hash__

    @property
    def status(self) -> Status:
        """The word in the body."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The HTTP status code."""
        return self.value[1]

    @staticmethod
    def of(monitors: Iterable[Monitor], now: float) -> "Answer":
        """Return the worst of the parts; `TIMEOUT` where every failure is silence."""
        answer, all_silent = Answer.PASS, True
        for monitor in monitors:
            match monitor.status(now):
                case Status.FAIL:
                    all_silent &= monitor.state.timed_out and not monitor.stale(now)
                    answer = Answer.TIMEOUT if all_silent else Answer.FAIL
                case Status.WARN if answer is Answer.PASS:
                    answer = Answer.WARN
        return answer
