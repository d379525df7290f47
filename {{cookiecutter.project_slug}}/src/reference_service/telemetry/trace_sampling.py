"""Decide which requests are traced, before FastAPI creates their spans."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from starlette.types import ASGIApp, Receive, Scope, Send

from .trace_settings import TraceSettings


class TraceIds(RandomIdGenerator):
    """Random ids. `reserved` is the id of the next trace that the current task starts."""

    reserved: ContextVar[int] = ContextVar("reserved_trace_id", default=0)

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        trace_id = self.reserved.get() or super().generate_trace_id()
        self.reserved.set(0)
        return trace_id


class UnsampledRequests:
    """Keeps requests that are certainly not sampled from FastAPI's tracing.

    It takes as long for them as for a sampled request, until the span is sent. Here they get only
    the ids of a span: log lines have them, and calls to dependencies pass them on, without the
    sampled flag. So spans of those calls are not sampled either.

    sampler, ids: those of the provider that FastAPI uses.
    """

    def __init__(self, app: ASGIApp, sampler: sampling.Sampler, ids: TraceIds) -> None:
        self.app = app
        self._sampler, self._ids = sampler, ids
        self._fields = {name.lower().encode() for name in propagate.get_global_textmap().fields}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        context = None if scope["type"] == "lifespan" else self._unsampled(scope)
        if context is None:
            await self.app(scope, receive, send)
            return
        # FastAPI skips its tracing if this exists. Its option `exclude` takes twice as long.
        scope["fastapi.telemetry"] = None
        token = otel.attach(context)
        try:
            await self.app(scope, receive, send)
        finally:
            otel.detach(token)

    def _unsampled(self, scope: Scope) -> Context | None:
        """Return the context of a request that is not sampled; None if it may be."""
        context = self._extract(scope)
        parent = trace.get_current_span(context).get_span_context()
        if parent.trace_flags.sampled:
            return None  # the sampler counts it, so it must be asked only once
        trace_id = parent.trace_id or self._ids.generate_trace_id()
        decision = self._sampler.should_sample(context, trace_id, "").decision
        if decision is not sampling.Decision.DROP:
            if not parent.is_valid:
                self._ids.reserved.set(
                    trace_id
                )  # the sampler is asked again, and decides by the id
            return None
        flags = parent.trace_flags if parent.is_valid else TraceFlags.RANDOM_TRACE_ID
        ids = SpanContext(
            trace_id,
            self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(flags & TraceFlags.RANDOM_TRACE_ID),
            trace_state=parent.trace_state,
        )
        return trace.set_span_in_context(NonRecordingSpan(ids), context)

    def _extract(self, scope: Scope) -> Context:
        """Return the context that the caller sent; empty if it sent none."""
        carrier: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            if name in self._fields:
                carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
        return propagate.extract(carrier) if carrier else Context()


@dataclass
class RateLimitedSampler(sampling.Sampler):
    """Sample a limited number of spans per second. Beyond it, only the trace id is passed on."""

    limit: int
    on_drop: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _second: float = 0.0
    _sampled: int = 0

    def should_sample(self, *args: Any, **kwargs: Any) -> sampling.SamplingResult:
        """Return the decision for a new span."""
        if (now := self.clock()) - self._second >= 1:
            self._second, self._sampled = now, 0
        if self._sampled < self.limit:
            self._sampled += 1
            return sampling.ALWAYS_ON.should_sample(*args, **kwargs)
        self.on_drop()
        return sampling.ALWAYS_OFF.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        """Return the name that the SDK shows."""
        return repr(self)


def request_sampler(settings: TraceSettings, on_drop: Callable[[], None]) -> sampling.Sampler:
    """Return the sampler of the environment, with a limit for what the flag of callers forces."""
    default = 1.0 if "traces_sampler" in settings.model_fields_set else 0.01
    argument = default if settings.traces_sampler_arg is None else settings.traces_sampler_arg
    kind = settings.traces_sampler.lower()
    ratio = {"on": 1.0, "off": 0.0}.get(kind.rpartition("always_")[2], argument)
    root = sampling.TraceIdRatioBased(ratio)
    forced = RateLimitedSampler(settings.traces_forced_per_second, on_drop)
    bounded = sampling.ParentBased(root, remote_parent_sampled=root if ratio == 1 else forced)
    return bounded if kind.startswith("parentbased_") else root
