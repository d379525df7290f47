"""The embedded Kafka: mock brokers with the real protocol that can fail in many ways."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.conn import AIOKafkaConnection, create_conn  # type: ignore[import-untyped]
from aiokafka.errors import KafkaConnectionError  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from dev.kafka import BROKERS, Kafka

ALL_TOPICS = None


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka"), topics=["items", "orders"]) as server:
        yield server


@pytest.fixture
async def connection(kafka: Kafka) -> AsyncIterator[AIOKafkaConnection]:
    opened = await create_conn("127.0.0.1", kafka.port, request_timeout_ms=5000)
    yield opened
    opened.close()


async def fetch_topics(connection: AIOKafkaConnection, topics: list[str] | None) -> dict[str, Any]:
    """Return a broker's metadata of topics, by their names."""
    response = (await connection.send(MetadataRequest(topics, False))).to_object()
    return {topic["topic"]: topic for topic in response["topics"]}


async def leaders(connection: AIOKafkaConnection, topic: str) -> list[int]:
    partitions = (await fetch_topics(connection, [topic]))[topic]["partitions"]
    return [partition["leader"] for partition in partitions]


async def test_each_requested_topic_has_its_leaders(
    connection: AIOKafkaConnection,
) -> None:
    assert set(await fetch_topics(connection, ALL_TOPICS)) == {"items", "orders"}
    found = await leaders(connection, "items")
    assert len(found) == 3
    assert set(found) <= set(BROKERS)


async def test_a_request_that_forbids_it_creates_no_topic(
    connection: AIOKafkaConnection,
) -> None:
    assert (await fetch_topics(connection, ["missing"]))["missing"]["error_code"] == 3
    assert "missing" not in await fetch_topics(connection, ALL_TOPICS)


async def test_a_sent_message_is_received(kafka: Kafka) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.url, enable_idempotence=True) as producer:
        await producer.send_and_wait("orders", b"value", key=b"key")
    consumer = AIOKafkaConsumer("orders", bootstrap_servers=kafka.url, auto_offset_reset="earliest")
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 10)
    assert (record.key, record.value) == (b"key", b"value")


async def test_a_partition_can_lose_and_regain_its_leader(
    kafka: Kafka, connection: AIOKafkaConnection
) -> None:
    kafka.set_leader("items", 1, None)
    assert (await leaders(connection, "items"))[1] == -1
    kafka.set_leader("items", 1, 2)
    assert (await leaders(connection, "items"))[1] == 2


async def test_a_topic_can_be_created_and_can_return_an_error(
    kafka: Kafka, connection: AIOKafkaConnection
) -> None:
    kafka.create_topic("new", partitions=2)
    assert len(await leaders(connection, "new")) == 2
    kafka.set_error("new", 29)
    assert (await fetch_topics(connection, ["new"]))["new"]["error_code"] == 29
    kafka.set_error("new", 0)
    assert (await fetch_topics(connection, ["new"]))["new"]["error_code"] == 0


async def test_brokers_that_are_down_close_and_refuse_connections(
    kafka: Kafka, connection: AIOKafkaConnection
) -> None:
    kafka.brokers_down(1)
    try:
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([], False))
        with pytest.raises(ConnectionRefusedError):
            await create_conn("127.0.0.1", kafka.port)
        (await create_conn("127.0.0.1", kafka.port + 1)).close()

        kafka.brokers_down()
        with pytest.raises(ConnectionRefusedError):
            await create_conn("127.0.0.1", kafka.port + 1)
    finally:
        kafka.brokers_up()
    for offset in range(len(BROKERS)):
        (await create_conn("127.0.0.1", kafka.port + offset)).close()


async def test_responses_can_be_delayed(kafka: Kafka, connection: AIOKafkaConnection) -> None:
    kafka.delay(300)
    try:
        started = time.monotonic()
        await leaders(connection, "items")
        assert time.monotonic() - started >= 0.3
    finally:
        kafka.delay(0)


async def test_clients_of_a_paused_cluster_wait_until_it_resumes(
    kafka: Kafka, connection: AIOKafkaConnection
) -> None:
    kafka.pause()
    try:
        request = asyncio.create_task(leaders(connection, "items"))
        await asyncio.wait({request}, timeout=0.3)
        assert not request.done()
    finally:
        kafka.resume()
    assert await request


def test_a_command_that_fails_raises_the_error(kafka: Kafka) -> None:
    with pytest.raises(RuntimeError, match=r"cannot create_topic: .*TOPIC_ALREADY_EXISTS"):
        kafka.create_topic("items")
    with pytest.raises(RuntimeError, match=r"cannot set_leader: .*UNKNOWN_TOPIC_OR_PART"):
        kafka.set_leader("items", 7, None)


async def test_a_restart_deletes_all_but_its_configured_topics(tmp_path: Path) -> None:
    with Kafka(tmp_path) as kafka:
        kafka.create_topic("forgotten")
        kafka.restart()
        connection = await create_conn("127.0.0.1", kafka.port)
        assert set(await fetch_topics(connection, ALL_TOPICS)) == {"items"}
        connection.close()
