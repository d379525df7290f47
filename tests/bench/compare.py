"""Compares servers fairly: in turns, again and again, and by the median of what each turn says.

A machine's speed changes while one looks. What two servers did within a second of each other can be
compared all the same; so a ratio is taken a round, and the median of those is what is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from .load import Stream, run
from .measured_process import Subject


@dataclass(frozen=True)
class Figure:
    """One thing that was measured. target: what it should be at most, or at least."""

    topic: str
    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is as it should be; None where nothing was promised."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass(frozen=True)
class Plan:
    """How long to look. seconds: of a round. long: of what is looked at once, and not in turns."""

    rounds: int
    seconds: float
    long: float
    requests: int
    """That the service is to serve while its memory is watched."""
    fault_minutes: float


FULL = Plan(rounds=11, seconds=1.0, long=15.0, requests=100_000, fault_minutes=10.0)
QUICK = Plan(rounds=1, seconds=0.05, long=0.2, requests=100, fault_minutes=0.0)


@dataclass(frozen=True)
class Round:
    """What one turn of one contestant gave. cpu: seconds of the server's, a request."""

    cpu: float
    rate: float


@dataclass(frozen=True)
class Contestant:
    """A request to a server, and how it is answered."""

    subject: Subject
    request: bytes
    code: int = 200


class Contest:
    """The rounds of some contestants, by their names."""

    def __init__(self, contestants: Mapping[str, Contestant], plan: Plan) -> None:
        self.rounds: dict[str, list[Round]] = {name: [] for name in contestants}
        names = list(contestants)
        for number in range(-1, plan.rounds):  # one before, which warms everything up
            for name in names if number % 2 else reversed(names):
                result = play(contestants[name], plan.seconds)
                if number >= 0:
                    self.rounds[name].append(result)

    def cpu(self, name: str) -> float:
        """Return the median of microseconds a request."""
        return 1e6 * median(each.cpu for each in self.rounds[name])

    def rate(self, name: str) -> float:
        """Return the median of requests a second."""
        return median(each.rate for each in self.rounds[name])

    def ratio(self, one: str, other: str, of: Callable[[Round], float]) -> float:
        """Return how many times one has what the other has, as the median of the rounds' ratios."""
        pairs = zip(self.rounds[one], self.rounds[other], strict=True)
        return median(of(a) / of(b) for a, b in pairs)

    def difference(self, one: str, other: str) -> float:
        """Return the microseconds a request that one takes more than the other."""
        pairs = zip(self.rounds[one], self.rounds[other], strict=True)
        return 1e6 * median(a.cpu - b.cpu for a, b in pairs)


def play(contestant: Contestant, seconds: float) -> Round:
    """Keep a server busy, and look at what it took."""
    subject = contestant.subject
    stream = Stream(subject.port, contestant.request)
    before = subject.cpu()
    run([stream], seconds)
    used = subject.cpu() - before
    subject.forget_log()
    require(stream, {contestant.code})
    return Round(used / stream.answered, stream.answered / stream.seconds)


def require(stream: Stream, codes: set[int]) -> None:
    """Raise RuntimeError unless there were answers, and only with these status codes."""
    if not stream.answered or not codes >= set(stream.codes):
        asked = stream.request.split(b"\r\n")[0].decode()
        raise RuntimeError(f"{asked} was answered {dict(stream.codes)}")
