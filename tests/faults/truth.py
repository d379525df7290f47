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
WINDOW = 10.0
"""Seconds of requests whose outcome the check `requests` sees."""
MIN_REQUESTS = 20
"""Requests in the window from which their outcome counts."""


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
        next successful request was sent, and answered. Infinite if there was none. failures: how
        many requests of one kind failed in a row. last_failure: when the last one of them was sent.
    """

    start: float
    evident: float
    success_sent: float
    success_received: float
    failures: int
    last_failure: float


def outages(responses: Iterable[Response]) -> Iterator[Outage]:
    """Yield the outages of one kind of request."""
    failed: list[Response] = []
    for response in responses:
        if not response.succeeded:
            failed.append(response)
        elif failed:
            yield _outage(failed, response.sent_at, response.received_at)
            failed = []
    if failed:
        yield _outage(failed, float("inf"), float("inf"))


def _outage(failed: list[Response], success_sent: float, success_received: float) -> Outage:
    first = failed[0]
    evident = first.sent_at + min(first.duration, CHECK_TIMEOUT)
    return Outage(
        first.sent_at, evident, success_sent, success_received, len(failed), failed[-1].sent_at
    )


def combined_outages(kinds: Iterable[Kind], min_failures: int = 1) -> list[Outage]:
    """Return the times during which any of these kinds failed. Overlapping outages become one.

    min_failures: leave out outages with fewer failures in a row.
    """
    found = sorted((each for kind in kinds for each in outages(kind.responses)), key=_start)
    combined: list[Outage] = []
    for outage in found:
        if outage.failures < min_failures:
            continue
        if combined and outage.start <= combined[-1].success_received:
            last = combined.pop()
            sent = max(last.success_sent, outage.success_sent)
            received = max(last.success_received, outage.success_received)
            failures = max(last.failures, outage.failures)
            failed_at = max(last.last_failure, outage.last_failure)
            combined.append(Outage(last.start, last.evident, sent, received, failures, failed_at))
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


def half_fails(responses: Sequence[Response], instant: float) -> bool:
    """Return whether at least half of the responses in the `WINDOW` before this are failures.

    A window that begins before these responses says nothing: the service saw other requests then.
    """
    start = instant - WINDOW
    if all(each.sent_at > start for each in responses):
        return False
    window = [each for each in responses if start <= each.received_at < instant]
    failed = sum(not each.succeeded for each in window)
    return len(window) >= MIN_REQUESTS and 2 * failed >= len(window)


@dataclass(frozen=True)
class Judge:
    """Compares `ready` with what clients got. detection, recovery: seconds, tolerance included.

    warning: seconds within which a failure that is not core work must at least be a warning.
    outcome_warning: the same if at least half of all requests fail.
    """

    detection: float
    recovery: float
    warning: float
    outcome_warning: float

    def lies(
        self, ready: Sequence[ProbeResponse], kinds: Sequence[Kind], *, green_is_right: bool = False
    ) -> list[str]:
        """Return one sentence for each way in which `ready` was green while clients failed.

        A green response is false if a request of the same outage was sent after it, and failed.
        A single failure between two successes of its kind does not count as an outage. If such
        failures add up to half of all requests, `ready` must warn.

        green_is_right: it may stay green while core requests fail, but not without that warning.
        """
        core = [kind for kind in kinds if kind.core and not green_is_right]
        found = [
            _during(ready, outage.evident + self.detection, outage.last_failure)
            for outage in combined_outages(core, min_failures=2)
        ]
        green = [each for responses in found for each in responses if each.status_code == OK]
        optional = [kind for kind in kinds if not kind.core]
        silent = [
            each
            for outage in combined_outages(optional)
            for each in _during(ready, outage.evident + self.warning, outage.last_failure)
            if each.status_code == OK and not each.warning
        ]
        unwarned = list(self._unwarned(ready, kinds))
        return [
            f"ready was {word} {len(responses)} times {reason}"
            for word, responses, reason in (
                ("green", green, "while core requests failed"),
                ("without a warning", silent, "while other requests failed"),
                ("without a warning", unwarned, "while half of them failed"),
            )
            if responses
        ]

    def _unwarned(
        self, ready: Iterable[ProbeResponse], kinds: Iterable[Kind]
    ) -> Iterator[ProbeResponse]:
        """Yield the green responses long after half of the latest requests began to fail."""
        responses = [each for kind in kinds for each in kind.responses]
        since: float | None = None
        for each in ready:
            if not half_fails(responses, each.sent_at):
                since = None
                continue
            since = each.sent_at if since is None else since
            late = each.sent_at - since > self.outcome_warning
            if late and each.status_code == OK and not each.warning:
                yield each

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
