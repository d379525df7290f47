"""Trace one run of all health checks when a probe asks for it, down to the slow dependency."""

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import Attributes, AttributeValue
from starlette.types import Scope

from ..health import Answer, Check, Probe, Registry

TRACER = "health-probe"
MIN_RUN_INTERVAL = 1.0  # seconds between the starts of two runs, however many requests arrive
RUN_TIMEOUT = 10.0  # seconds after which a run is abandoned, for example of stopped checks
LEGACY_ATTRIBUTES = {
    # The word in OTEL_SEMCONV_STABILITY_OPT_IN that adds the legacy name, and that name.
    "http.request.method": ("http/dup", "http.method"),
    "http.response.status_code": ("http/dup", "http.status_code"),
    "db.system.name": ("database/dup", "db.system"),
    "db.operation.name": ("database/dup", "db.operation"),
    "rpc.system.name": ("rpc/dup", "rpc.system"),
}


class HealthTraceSampler(Sampler):
    """Sample every span, and mark its trace with `health=light` in the W3C tracestate.

    A collector can separate these traces by the mark. The caller's sampling decision has no effect,
    because only requests with `X-Trace-Health` are traced.
    """

    def should_sample(
        self, parent_context: Context | None, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        """Return the decision and the tracestate of a new span."""
        result = ALWAYS_ON.should_sample(parent_context, *args, **kwargs)
        parent = trace.get_current_span(parent_context).get_span_context()
        result.trace_state = parent.trace_state.update("health", "light")
        return result

    def get_description(self) -> str:
        """Return the name that the SDK shows."""
        return type(self).__name__


class HealthTraces:
    """Start a traced run for a readiness request, and return the header that names its trace.

    The probe itself is still answered from memory, at once. In the background every check runs
    again, each in a span that encloses its timeout. At most one run is in progress, and at most one
    starts per second: other requests get its trace. `traceresponse`: W3C Trace Context, level 2.
    """

    def __init__(self, tracer: Tracer, registry: Registry, opt_in: str = "") -> None:
        self._tracer = tracer
        self._registry = registry
        self._opted_in = {word.strip() for word in opt_in.split(",")}
        self._started_at = -MIN_RUN_INTERVAL
        self._run: asyncio.Task[None] | None = None
        self._response = b""

    def __call__(self, scope: Scope, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Start a run if the request asks for one, or return the trace of the latest one."""
        if (b"x-trace-health", b"true") not in ((k, v.lower()) for k, v in scope["headers"]):
            return []
        now = self._registry.clock()
        if self._run is None or (self._run.done() and now - self._started_at >= MIN_RUN_INTERVAL):
            self._started_at = now
            span = self._start_span(scope, answer)
            ids = span.get_span_context()
            trace_id, span_id, flags = ids.trace_id, ids.span_id, ids.trace_flags
            self._response = f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}".encode()
            # In an empty context: the drivers' spans must not belong to the caller's request.
            self._run = asyncio.create_task(self._run_checks(span), context=contextvars.Context())
        return [(b"traceresponse", self._response)]

    def _start_span(self, scope: Scope, answer: Answer) -> Span:
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        attributes = {
            "http.request.method": scope["method"],
            "http.response.status_code": answer.code,
            "http.route": scope["path"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        return self._tracer.start_span(
            f"{scope['method']} {scope['path']}",
            propagate.extract(headers),
            SpanKind.SERVER,
            self._with_legacy_names(attributes),
        )

    async def _run_checks(self, span: Span) -> None:
        """Run all checks, and end the span with their results."""
        with trace.use_span(span, end_on_exit=True):
            parent = otel.get_current()
            not_attempted = dict.fromkeys(self._registry.monitors, "NotAttempted")

            def attempt(check: Check) -> AbstractContextManager[None]:
                del not_attempted[check.name]
                return self._attempt(check, parent)

            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RUN_TIMEOUT):
                    await self._registry.run_all_now(attempt)
            monitors = self._registry.monitors.values()
            failed = {m.name: m.state.error for m in monitors if m.state.error}
            failures = [f"{name}: {error}" for name, error in (failed | not_attempted).items()]
            span.set_attribute("health.status", self._registry.answer(Probe.READY).status)
            span.set_attribute("health.failures", failures)
            _set_status(span, ", ".join(failures))

    @contextlib.contextmanager
    def _attempt(self, check: Check, parent: Context) -> Iterator[None]:
        """Create the span of one attempt, the parent of its driver's spans."""
        with self._tracer.start_as_current_span(
            f"check {check.name}",
            parent,
            SpanKind.CLIENT if check.attributes else SpanKind.INTERNAL,
            self._with_legacy_names({"health.check": check.name, **check.attributes}),
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                _set_status(span, type(error).__name__)
                raise
            _set_status(span, "")

    def _with_legacy_names(self, attributes: Mapping[str, AttributeValue]) -> Attributes:
        """Add the legacy names that the environment asks for."""
        named = dict(attributes)
        for name, (word, legacy) in LEGACY_ATTRIBUTES.items():
            if name in attributes and word in self._opted_in:
                named[legacy] = attributes[name]
        return named


def _set_status(span: Span, error: str) -> None:
    """Set the status, and the attribute that systems without a span status read."""
    status = Status(StatusCode.ERROR, error) if error else Status(StatusCode.OK)
    span.set_status(status)
    span.set_attribute("otel.status_code", status.status_code.name)
