"""What the clients got, as one state per instant, and whether `ready` agreed with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .clients import Kind, Response
from .probe_client import ProbeResponse

OK = 200
CHECK_TIMEOUT = 0.5
"""Seconds that a check may take. A request that waits longer is evidence of a failure."""
MARGIN = 0.5
"""Seconds before a failing request during which `ready` may already be red: clients pause."""


class State(StrEnum):
    """What the clients of a service get."""

    WORKS = "works"
    DEGRADED = "degraded"
    """A request fails that is not core work."""
    READS_ONLY = "reads only"
    DOWN = "down"

    @property
    def core_works(self) -> bool:
        """Whether the core work succeeds."""
        return self in (State.WORKS, State.DEGRADED)


@dataclass(frozen=True)
class Outage:
    """A time during which one kind of request, or any of several, failed.

    start: when the first failing request was sent. evident: when the service could know: after its
        response, or after `CHECK_TIMEOUT` without one. success_sent, success_received: when the
        next successful request was sent, and answered. Infinite if there was none.
    """

    start: float
    evident: float
    success_sent: float
    success_received: float


def outages(responses: Iterable[Response]) -> Iterator[Outage]:
    """Yield the outages of one kind of request."""
    first: Response | None = None
    for response in responses:
        if not response.succeeded:
            first = first or response
        elif first is not None:
            yield _outage(first, response.sent_at, response.received_at)
            first = None
    if first is not None:
        yield _outage(first, float("inf"), float("inf"))


def _outage(first: Response, success_sent: float, success_received: float) -> Outage:
    evident = first.sent_at + min(first.duration, CHECK_TIMEOUT)
    return Outage(first.sent_at, evident, success_sent, success_received)


def combined_outages(kinds: Iterable[Kind]) -> list[Outage]:
    """Return the times during which any of these kinds failed. Overlapping outages become one."""
    found = sorted((each for kind in kinds for each in outages(kind.responses)), key=_start)
    combined: list[Outage] = []
    for outage in found:
        if combined and outage.start <= combined[-1].success_received:
            last = combined.pop()
            sent = max(last.success_sent, outage.success_sent)
            received = max(last.success_received, outage.success_received)
            combined.append(Outage(last.start, last.evident, sent, received))
        else:
            combined.append(outage)
    return combined


def _start(outage: Outage) -> float:
    return outage.start


def state_at(kinds: Iterable[Kind], instant: float) -> State:
    """Return what the clients got for the requests that they sent around this instant."""
    failing = [
        kind
        for kind in kinds
        if any(each.start <= instant < each.success_received for each in outages(kind.responses))
    ]
    core = [kind for kind in failing if kind.core]
    if not core:
        return State.DEGRADED if failing else State.WORKS
    return State.READS_ONLY if all(kind.writes for kind in core) else State.DOWN


def state_changes(kinds: Sequence[Kind], start: float) -> Iterator[tuple[float, State]]:
    """Yield when the state changed, from `start` on, and the new state."""
    found = [each for kind in kinds for each in outages(kind.responses)]
    instants = sorted(
        {start, *(at for each in found for at in (each.start, each.success_received))}
    )
    last = None
    for instant in instants:
        state = state_at(kinds, instant)
        if start <= instant < float("inf") and state is not last:
            yield instant, state
            last = state


@dataclass(frozen=True)
class Judge:
    """Compares `ready` with what clients got. detection, recovery: seconds, tolerance included.

    warning: seconds within which a failure that is not core work must at least be a warning.
    """

    detection: float
    recovery: float
    warning: float

    def lies(self, ready: Sequence[ProbeResponse], kinds: Sequence[Kind]) -> list[str]:
        """Return one sentence for each way in which `ready` was green while clients failed."""
        core = [kind for kind in kinds if kind.core]
        found = [
            _during(ready, outage.evident + self.detection, outage.success_sent)
            for outage in combined_outages(core)
        ]
        green = [each for responses in found for each in responses if each.status_code == OK]
        optional = [kind for kind in kinds if not kind.core]
        silent = [
            each
            for outage in combined_outages(optional)
            for each in _during(ready, outage.evident + self.warning, outage.success_sent)
            if each.status_code == OK and not each.warning
        ]
        return [
            f"ready was {word} {len(responses)} times {reason}"
            for word, responses, reason in (
                ("green", green, "while core requests failed"),
                ("without a warning", silent, "while other requests failed"),
            )
            if responses
        ]

    def false_alarms(self, ready: Sequence[ProbeResponse], kinds: Sequence[Kind]) -> list[str]:
        """Return a sentence if `ready` was red too long while the core work succeeded."""
        found = combined_outages(kind for kind in kinds if kind.core)
        successes = [each.success_received + self.recovery for each in found]
        failures = [each.start - MARGIN for each in found]
        red = [
            each
            for start, end in zip([0.0, *successes], [*failures, float("inf")], strict=True)
            for each in _during(ready, start, end)
            if each.status_code != OK
        ]
        return [f"ready was red {len(red)} times while core requests succeeded"] if red else []


def _during(ready: Iterable[ProbeResponse], start: float, end: float) -> list[ProbeResponse]:
    return [each for each in ready if start <= each.sent_at and each.sent_at + each.duration < end]
