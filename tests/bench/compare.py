"""Compare servers fairly: in alternating rounds, and by the median of the ratios of each round.

The speed of a machine changes during a measurement. Two servers that ran within a second of each
other can still be compared. Therefore a ratio is taken per round, and the median of the ratios is
reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from .load import RequestStream, send
from .measured_process import MeasuredProcess


@dataclass(frozen=True)
class Measurement:
    """One measured value. target: the maximum, or the minimum if `at_least` is set."""

    topic: str
    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def meets_target(self) -> bool | None:
        """Whether the value meets its target; None without a target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    round_seconds: duration of a round. long_seconds: duration of a measurement without rounds.
    overload_seconds: duration of one overload. requests: how many the service serves while its
    memory is measured.
    """

    rounds: int
    round_seconds: float
    long_seconds: float
    overload_seconds: float
    requests: int
    fault_minutes: float


FULL = Plan(
    rounds=11,
    round_seconds=1.0,
    long_seconds=15.0,
    overload_seconds=10.0,
    requests=100_000,
    fault_minutes=10.0,
)
QUICK = Plan(
    rounds=1,
    round_seconds=0.05,
    long_seconds=0.2,
    overload_seconds=0.2,
    requests=100,
    fault_minutes=0.0,
)


@dataclass(frozen=True)
class Round:
    """The result of one round of one workload. cpu: seconds of the server process per request."""

    cpu: float
    rate: float


@dataclass(frozen=True)
class Workload:
    """A request to a server, and the status code of its response."""

    server: MeasuredProcess
    request: bytes
    status_code: int = 200


class Comparison:
    """Run workloads in alternating rounds, and compare them by name."""

    def __init__(self, workloads: Mapping[str, Workload], plan: Plan) -> None:
        self.rounds: dict[str, list[Round]] = {name: [] for name in workloads}
        names = list(workloads)
        for number in range(-1, plan.rounds):  # one additional round, as a warm-up
            for name in names if number % 2 else reversed(names):
                result = run_round(workloads[name], plan.round_seconds)
                if number >= 0:
                    self.rounds[name].append(result)

    def cpu(self, name: str) -> float:
        """Return the median microseconds of CPU per request."""
        return 1e6 * median(each.cpu for each in self.rounds[name])

    def rate(self, name: str) -> float:
        """Return the median requests per second."""
        return median(each.rate for each in self.rounds[name])

    def ratio(self, numerator: str, denominator: str, value: Callable[[Round], float]) -> float:
        """Return the median of the ratios of each round."""
        pairs = zip(self.rounds[numerator], self.rounds[denominator], strict=True)
        return median(value(a) / value(b) for a, b in pairs)


def run_round(workload: Workload, seconds: float) -> Round:
    """Keep a server busy, and return the CPU time and the rate."""
    server = workload.server
    stream = RequestStream(server.port, workload.request)
    before = server.cpu_seconds()
    send([stream], seconds)
    used = server.cpu_seconds() - before
    server.truncate_log()
    require_status_codes(stream, {workload.status_code})
    return Round(used / stream.response_count, stream.response_count / stream.duration)


def require_status_codes(stream: RequestStream, codes: set[int]) -> None:
    """Raise RuntimeError if there were no responses, or responses with other status codes."""
    if not stream.response_count or not codes >= set(stream.status_codes):
        request = stream.request.split(b"\r\n")[0].decode()
        raise RuntimeError(f"{request} returned {dict(stream.status_codes)}")
