"""Traces a run of all health checks when a probe asks for it, down to the slow dependency."""

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TraceState
from opentelemetry.util.types import Attributes, AttributeValue
from starlette.types import Scope

from ..health import Answer, Check, Probe, Registry

TRACER = "health-probe"
REST = 1.0
"""Seconds from the begin of a traced run to the next one, however many ask."""
PATIENCE = 10.0
"""Seconds after which a run is given up, as when the checks do not run any more."""
LEGACY_ATTRIBUTES = {
    # What OTEL_SEMCONV_STABILITY_OPT_IN has to say for the older name to stand beside the stable.
    "http.request.method": ("http/dup", "http.method"),
    "http.response.status_code": ("http/dup", "http.status_code"),
    "db.system.name": ("database/dup", "db.system"),
    "db.operation.name": ("database/dup", "db.operation"),
    "rpc.system.name": ("rpc/dup", "rpc.system"),
}


class HealthTraceSampler(Sampler):
    """Takes every span, and marks its trace with `health=light` in the W3C tracestate.

    A collector can tell these traces from others by it. The caller's decision is not asked: who
    wants a health trace says so by a header of its own.
    """

    def should_sample(  # noqa: D102, PLR0913, PLR0917 - as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,  # noqa: ARG002
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        state = parent.trace_state.update("health", "light")
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)

    def get_description(self) -> str:  # noqa: D102 - as the SDK calls it
        return type(self).__name__


class HealthTraces:
    """Called for a readiness request that wants a trace; answers with its `traceresponse`.

    The probe is answered from memory all the same, and at once. Beside it every check looks again,
    each in a span around its timeout. One run is under way at a time, and one a second begins: who
    asks meanwhile is told of that one. `traceresponse` is of W3C Trace Context, level 2.
    """

    def __init__(self, tracer: Tracer, registry: Registry, opt_in: str = "") -> None:
        self._tracer = tracer
        self._registry = registry
        self._opted_in = {word.strip() for word in opt_in.split(",")}
        self._begun = -REST
        self._run: asyncio.Task[None] | None = None
        self._response = b""

    def __call__(self, scope: Scope, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Begin a run, or join the one that there is."""
        now = self._registry.clock()
        if self._run is None or (self._run.done() and now - self._begun >= REST):
            self._begun = now
            span = self._begin(scope, answer)
            ids = span.get_span_context()
            flags = f"{ids.trace_flags:02x}"
            self._response = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{flags}".encode()
            # In no request's context: the caller's span must not be what the drivers hang on to.
            self._run = asyncio.create_task(self._look(span), context=contextvars.Context())
        return [(b"traceresponse", self._response)]

    def _begin(self, scope: Scope, answer: Answer) -> Span:
        headers = {
            name.decode("latin-1"): str(value, "latin-1") for name, value in scope["headers"]
        }
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
            self._named(attributes),
        )

    async def _look(self, span: Span) -> None:
        """Have all checks look again, and end the span with what they found."""
        with trace.use_span(span, end_on_exit=True):
            parent = otel.get_current()
            unseen = dict.fromkeys(self._registry.monitors, "NotAttempted")

            def attempt(check: Check) -> AbstractContextManager[None]:
                del unseen[check.name]
                return self._attempt(check, parent)

            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._registry.run_all_now(attempt)
            monitors = self._registry.monitors.values()
            failed = {m.name: m.state.error for m in monitors if m.state.error}
            faults = [f"{name}: {error}" for name, error in (failed | unseen).items()]
            span.set_attribute("health.status", self._registry.answer(Probe.READY).status)
            span.set_attribute("health.failures", faults)
            _set_status(span, Status(StatusCode.ERROR, ", ".join(faults)) if faults else _OK)

    @contextlib.contextmanager
    def _attempt(self, check: Check, parent: Context) -> Iterator[None]:
        """Make the span of one check; what the drivers do in it hangs below it."""
        with self._tracer.start_as_current_span(
            f"check {check.name}",
            parent,
            SpanKind.CLIENT if check.attributes else SpanKind.INTERNAL,
            self._named({"health.check": check.name, **check.attributes}),
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                name = type(error).__name__
                span.set_attribute("error.type", name)
                _set_status(span, Status(StatusCode.ERROR, name))
                raise
            _set_status(span, _OK)

    def _named(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Add the older names that the environment asks for."""
        older = {
            LEGACY_ATTRIBUTES[name][1]: value
            for name, value in attributes.items()
            if name in LEGACY_ATTRIBUTES and LEGACY_ATTRIBUTES[name][0] in self._opted_in
        }
        return {**attributes, **older}


_OK = Status(StatusCode.OK)


def _set_status(span: Span, status: Status) -> None:
    """Set the status, also as the attribute that systems without a word for it look at."""
    span.set_status(status)
    span.set_attribute("otel.status_code", status.status_code.name)
