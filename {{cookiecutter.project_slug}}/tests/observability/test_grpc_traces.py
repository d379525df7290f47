"""gRPC in traces: calls have spans and pass the trace context on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import (  # type: ignore[import-untyped]
    health,
    health_pb2,
    health_pb2_grpc,
)
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_service.dependencies.grpc import (
    Grpc,
    GrpcSettings,
)

from ..conftest import StartService
from .collector import Collector
from .tracing import children, health_trace, start_with_traces

CALL = "/grpc.health.v1.Health/Check"


class Downstream:
    """A server that returns SERVING and stores the `traceparent` of each call."""

    def __init__(self) -> None:
        self.traceparents: list[str] = []
        self.target = ""

    def check(
        self, _: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        metadata = dict(context.invocation_metadata())
        self.traceparents.append(metadata.get("traceparent", ""))
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    running = Downstream()
    handler = grpc.unary_unary_rpc_method_handler(
        running.check,
        health_pb2.HealthCheckRequest.FromString,
        health_pb2.HealthCheckResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    service = grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": handler})
    server.add_generic_rpc_handlers([service])
    running.target = f"downstream=127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield running
    server.stop(grace=None).wait()


def test_health_trace_continues_in_called_service(
    start_service: StartService, collector: Collector, downstream: Downstream
) -> None:
    service = start_with_traces(start_service, collector.url, GRPC_TARGETS=downstream.target)
    assert set(downstream.traceparents) == {""}  # background attempts have no trace
    spans = health_trace(service, collector, CALL)
    [check] = [span for span in spans if span.name == "check grpc.downstream"]
    assert check.attributes["rpc.system.name"] == "grpc"
    [call] = children(spans, "check grpc.downstream")
    assert f"00-{check.trace_id}-{call.span_id}" in {each[:52] for each in downstream.traceparents}


@pytest.fixture
def finished() -> Iterator[InMemorySpanExporter]:
    """Collect the spans of calls in this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = GrpcAioInstrumentorClient()  # type: ignore[no-untyped-call]
    client.instrument(tracer_provider=provider)
    yield exporter
    client.uninstrument()


async def test_call_in_request_has_span_and_passes_trace_on(
    downstream: Downstream, finished: InMemorySpanExporter
) -> None:
    services = Grpc(GrpcSettings.model_validate({"targets": downstream.target}))
    stub = health_pb2_grpc.HealthStub(services.channel("downstream"))
    with TracerProvider().get_tracer("a request").start_as_current_span("GET /orders") as request:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    await services.close()
    [call] = finished.get_finished_spans()
    assert call.parent
    assert call.parent.span_id == request.get_span_context().span_id
    assert call.context
    [traceparent] = downstream.traceparents
    assert traceparent[:52] == f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}"
