"""Item events over real connections: their content, and which are dropped during an outage."""

import asyncio
import contextlib
import json
import logging
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

import dev.kafka
from dev.kafka_events import parse_events, read_messages

from reference_service.dependencies.kafka import Kafka, KafkaSettings
from reference_service.dependencies.kafka.publisher import (
    QUEUE_SIZE,
    RESTART_DELAY,
)
from reference_service.items import (
    Item,
    ItemCreate,
    MemoryItems,
)
from reference_service.items.events import (
    ItemCreated,
    PublishingItemStore,
)

from ..processes import eventually
from .contract import StoreContract

QUICK = 5.0
"""Maximum seconds, on a busy machine, of work that does not wait for Kafka."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.kafka.Kafka]:
    with dev.kafka.Kafka(tmp_path_factory.mktemp("kafka"), topics=[]) as kafka:
        yield kafka


@pytest.fixture
async def kafka(server: dev.kafka.Kafka) -> AsyncIterator[Kafka]:
    """The service's client, with a new topic for each test."""
    topic = uuid4().hex
    server.create_topic(topic)
    client = Kafka(KafkaSettings(bootstrap_servers=server.url, topics=topic))
    yield client
    await client.close()


@pytest.fixture
def store(kafka: Kafka) -> PublishingItemStore:
    return PublishingItemStore(MemoryItems(), kafka.publish)


class TestPublishingItemStore(StoreContract):
    """The store is this module's fixture."""


class Published(list[tuple[bytes, bytes]]):
    """Records messages instead of sending them."""

    def publish(self, key: bytes, value: bytes) -> None:
        self.append((key, value))


async def test_event_is_a_json_object_with_the_item_id_as_key() -> None:
    published = Published()
    store = PublishingItemStore(MemoryItems(), published.publish)
    item = await store.create(ItemCreate(name="Lamp"))
    [(key, value)] = published
    assert key == str(item.id).encode()
    assert json.loads(value) == {
        "type": "item.created",
        "id": str(item.id),
        "name": "Lamp",
        "time": item.created_at.isoformat().replace("+00:00", "Z"),
    }


async def test_other_changes_and_failures_publish_nothing() -> None:
    class BrokenStore(MemoryItems):
        async def create(self, _: ItemCreate) -> Item:
            raise ConnectionError

    published = Published()
    store = PublishingItemStore(MemoryItems(), published.publish)
    item = await store.create(ItemCreate(name="Lamp"))
    published.clear()
    await store.update(item.id, {"name": "Torch"})
    await store.delete(item.id)
    with pytest.raises(ConnectionError):
        await PublishingItemStore(BrokenStore(), published.publish).create(ItemCreate(name="Lamp"))
    assert published == []


async def test_other_messages_are_ignored() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"\xff"
        yield b'{"type": "item.sold"}'
        for _, value in published:
            yield value[:-1] + b', "later": "field"}'

    published = Published()
    store = PublishingItemStore(MemoryItems(), published.publish)
    item = await store.create(ItemCreate(name="Lamp"))
    assert [event.id async for event in parse_events(messages())] == [item.id]


async def receive(kafka: Kafka, count: int) -> list[bytes]:
    """Return the first `count` messages of the topic, in order."""
    received: list[bytes] = []
    reading = read_messages(kafka.settings, from_start=True)
    async with asyncio.timeout(20), contextlib.aclosing(reading) as messages:
        async for message in messages:
            received.append(message)
            if len(received) == count:
                break
    return received


async def test_events_arrive_in_order(kafka: Kafka, store: PublishingItemStore) -> None:
    items = [await store.create(ItemCreate(name=str(n))) for n in range(250)]
    events = [ItemCreated.model_validate_json(message) for message in await receive(kafka, 250)]
    assert events == [ItemCreated.of(item) for item in items]


async def until_logged(caplog: pytest.LogCaptureFixture, message: str) -> None:
    async def is_logged() -> bool:
        return message in caplog.messages

    await eventually(is_logged, within=20)


async def test_outage_delays_no_creation_and_drops_the_oldest_events(
    kafka: Kafka,
    store: PublishingItemStore,
    server: dev.kafka.Kafka,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reference_service")
    server.brokers_down()
    try:
        started = time.monotonic()
        items = [await store.create(ItemCreate(name=str(n))) for n in range(QUEUE_SIZE + 500)]
        assert time.monotonic() - started < QUICK
        await until_logged(caplog, "Kafka unavailable; buffering messages")
        await asyncio.sleep(2 * RESTART_DELAY)
    finally:
        server.brokers_up()
    messages = await receive(kafka, QUEUE_SIZE)
    events = [ItemCreated.model_validate_json(message) for message in messages]
    assert events == [ItemCreated.of(item) for item in items[500:]]
    await until_logged(caplog, "Kafka available again; sending messages")
    assert [(record.message, vars(record).get("dropped")) for record in caplog.records] == [
        ("messages dropped", 1),
        ("Kafka unavailable; buffering messages", None),
        ("Kafka available again; sending messages", None),
        ("messages dropped", 499),  # not one line each
    ]


async def test_hung_kafka_needs_few_tasks_for_many_events(
    kafka: Kafka, store: PublishingItemStore, server: dev.kafka.Kafka
) -> None:
    await store.create(ItemCreate(name="first"))
    await receive(kafka, 1)
    server.pause()
    try:
        for n in range(500):
            await store.create(ItemCreate(name=str(n)))
        for _ in range(20):
            await asyncio.sleep(0.2)
            assert len(asyncio.all_tasks()) < 20
    finally:
        server.resume()
    await receive(kafka, 501)


async def test_consumer_prints_each_event_as_it_arrives(
    kafka: Kafka, store: PublishingItemStore, server: dev.kafka.Kafka
) -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": server.url, "KAFKA_TOPICS": kafka.topics[0]}
    command = [sys.executable, "-m", "dev.kafka_events"]
    consumer = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
    assert consumer.stdout
    line = asyncio.create_task(consumer.stdout.readline())
    created = set()

    async def has_printed() -> bool:
        created.add((await store.create(ItemCreate(name="Lamp"))).id)
        await asyncio.wait({line}, timeout=0.2)
        return line.done()

    try:
        await eventually(has_printed)  # earlier events are not printed
        assert ItemCreated.model_validate_json(await line).id in created
        consumer.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(consumer.wait(), 20) == 0
    finally:
        if consumer.returncode is None:
            consumer.kill()


@pytest.mark.parametrize(
    ("servers", "sentence"),
    [
        ("127.0.0.1", "KAFKA_BOOTSTRAP_SERVERS: not the addresses of brokers"),
        ("127.0.0.1:1", "Unable to bootstrap"),
    ],
)
def test_consumer_without_brokers_reports_why_in_one_line(servers: str, sentence: str) -> None:
    command = [sys.executable, "-m", "dev.kafka_events"]
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert sentence in line
