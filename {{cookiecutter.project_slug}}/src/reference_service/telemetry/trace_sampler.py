"""Select the requests that are traced, and limit how many of them callers force."""

import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import sampling

from .trace_settings import TraceSettings


class RateLimitedSampler(sampling.Sampler):
    """Sample a limited number of spans per second. on_drop: called for each one beyond the limit.

    Such a span is not recorded. Its trace id is still passed on, as not sampled.
    """

    def __init__(
        self, limit: int, on_drop: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._on_drop, self._clock = limit, on_drop, clock
        self._second, self._sampled = clock(), 0

    def should_sample(self, *args: Any, **kwargs: Any) -> sampling.SamplingResult:
        """Return the decision for a new span."""
        if self._clock() - self._second >= 1:
            self._second, self._sampled = self._clock(), 0
        if self._sampled < self._limit:
            self._sampled += 1
            return sampling.ALWAYS_ON.should_sample(*args, **kwargs)
        self._on_drop()
        return sampling.ALWAYS_OFF.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        """Return the name that the SDK shows."""
        return f"{type(self).__name__}{{{self._limit}}}"


def request_sampler(settings: TraceSettings, on_drop: Callable[[], None]) -> sampling.Sampler:
    """Return the sampler of the environment, with a limit for traces that callers force.

    A caller forces a trace with the sampled flag of `traceparent`: W3C Trace Context, section 3.2.
    """
    root = sampling.TraceIdRatioBased(settings.ratio)
    if not settings.parent_based:
        return root
    forced = RateLimitedSampler(settings.traces_forced_per_second, on_drop)
    remote = sampling.ALWAYS_ON if settings.ratio == 1 else forced
    return sampling.ParentBased(root, remote_parent_sampled=remote)
