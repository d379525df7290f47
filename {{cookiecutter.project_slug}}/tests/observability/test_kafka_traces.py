"""Kafka in traces: an announcement belongs to the request that made it, and says so."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from dev.kafka import Kafka

from ..conftest import StartService
from ..processes import wait_until
from .collector import Collector
from .tracing import CALLER, TRACE, below, trace_while_frozen, traced


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def test_an_announcement_carries_the_trace_of_its_request(
    start_service: StartService, collector: Collector, kafka: Kafka
) -> None:
    service = traced(start_service, collector.url, KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    service.api.post("/items", json={"name": "Lamp"}, headers={"traceparent": CALLER})
    wait_until(lambda: {"POST /items", "items send"} <= collector.trace(TRACE).keys())
    spans = list(collector.trace(TRACE).values())
    [sent] = [span for span in below(spans, "POST /items") if span.name == "items send"]
    headers = asyncio.run(headers_of_first(kafka))
    assert headers["traceparent"] == f"00-{TRACE}-{sent.span_id}-01"


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


def test_a_health_trace_names_the_check(
    start_service: StartService, collector: Collector, kafka: Kafka
) -> None:
    service = traced(start_service, collector.url, KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    spans = trace_while_frozen(kafka, service, collector)
    assert spans["check kafka"].status == "ERROR"
    assert spans["check kafka"].attributes["messaging.system"] == "kafka"
