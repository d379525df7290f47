"""The three probes of an orchestrator, and the four answers to them."""

from collections.abc import Iterable
from enum import Enum, StrEnum

from .check import Status
from .monitor import Monitor


class Probe(StrEnum):
    """A probe that an orchestrator sends."""

    STARTUP = "startup"
    READY = "ready"
    LIVE = "live"


class Answer(Enum):
    """An answer to a probe: a status, and the HTTP status code that carries it."""

    PASS = (Status.PASS, 200)
    WARN = (Status.WARN, 200)
    FAIL = (Status.FAIL, 503)
    TIMEOUT = (Status.FAIL, 504)
    __hash__ = object.__hash__  # by identity: `Enum`'s is slow, and every probe needs it

    def __init__(self, status: Status, code: int) -> None:
        self.status, self.code = status, code

    @staticmethod
    def from_monitors(monitors: Iterable[Monitor], now: float) -> "Answer":
        """Return the answer for the worst status; `TIMEOUT` if every failure is a timeout."""
        answer, only_timeouts = Answer.PASS, True
        for monitor in monitors:
            match monitor.status(now):
                case Status.FAIL:
                    only_timeouts &= monitor.state.timed_out and not monitor.stale(now)
                    answer = Answer.TIMEOUT if only_timeouts else Answer.FAIL
                case Status.WARN if answer is Answer.PASS:
                    answer = Answer.WARN
        return answer
