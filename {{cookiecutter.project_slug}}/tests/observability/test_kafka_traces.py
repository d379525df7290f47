"""Kafka in traces: an item event has the trace context of its request."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from dev.kafka import Kafka

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import wait_until
from .collector import Collector
from .tracing import TRACE_ID, TRACEPARENT, children, start_with_traces, trace_while_frozen


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def test_item_event_has_trace_context_of_request(
    start_service: StartService, collector: Collector, kafka: Kafka
) -> None:
    service = start_with_traces(start_service, collector.url, KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    service.api.post(PATH, json=NEW, headers={"traceparent": TRACEPARENT})
    wait_until(lambda: {f"POST {PATH}", "items send"} <= collector.trace(TRACE_ID).keys())
    spans = list(collector.trace(TRACE_ID).values())
    [sent] = [span for span in children(spans, f"POST {PATH}") if span.name == "items send"]
    headers = asyncio.run(headers_of_first(kafka))
    assert headers["traceparent"] == f"00-{TRACE_ID}-{sent.span_id}-01"


async def headers_of_first(kafka: Kafka) -> dict[str, str]:
    consumer = AIOKafkaConsumer(
        "items", bootstrap_servers=kafka.url.split(","), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 30)
    finally:
        await consumer.stop()
    return {name: value.decode() for name, value in record.headers}


def test_health_trace_has_span_of_check(
    start_service: StartService, collector: Collector, kafka: Kafka
) -> None:
    service = start_with_traces(start_service, collector.url, KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    spans = trace_while_frozen(kafka, service, collector)
    assert spans["check kafka"].status == "ERROR"
    assert spans["check kafka"].attributes["messaging.system"] == "kafka"
