"""Items announced through real connections: what is said, and what is lost when Kafka is away."""

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

from reference_service.dependencies.kafka.client import (
    Kafka,
    KafkaSettings,
)
from reference_service.dependencies.kafka.publisher import (
    CAPACITY,
    REST,
)
from reference_service.items import (
    Item,
    ItemCreate,
    MemoryItems,
)
from reference_service.items.events import (
    Announcement,
    PublishingItemStore,
    announcements,
)

from .contract import StoreContract

QUICK = 2.0
"""Seconds within which even a busy machine has done what does not wait for Kafka."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.kafka.Kafka]:
    with dev.kafka.Kafka(tmp_path_factory.mktemp("kafka"), topics=[]) as kafka:
        yield kafka


@pytest.fixture
async def kafka(server: dev.kafka.Kafka) -> AsyncIterator[Kafka]:
    """The service's side of it, on a topic of the test's own."""
    topic = uuid4().hex
    server.create_topic(topic)
    made = Kafka(KafkaSettings(bootstrap_servers=server.url, topics=topic))
    yield made
    await made.close()


@pytest.fixture
def store(kafka: Kafka) -> PublishingItemStore:
    return PublishingItemStore(MemoryItems(), kafka.publish)


class TestAnnouncedItems(StoreContract):
    """The store is this module's fixture."""


class Said(list[tuple[bytes, bytes]]):
    """Takes the place of Kafka, and remembers."""

    def publish(self, key: bytes, value: bytes) -> None:
        self.append((key, value))


async def test_an_announcement_is_a_json_object_under_the_items_id() -> None:
    said = Said()
    item = await PublishingItemStore(MemoryItems(), said.publish).create(ItemCreate(name="Lamp"))
    [(key, value)] = said
    assert key == str(item.id).encode()
    assert json.loads(value) == {
        "type": "item.created",
        "id": str(item.id),
        "name": "Lamp",
        "time": item.created_at.isoformat().replace("+00:00", "Z"),
    }


async def test_nothing_else_is_announced() -> None:
    class Full(MemoryItems):
        async def create(self, _: ItemCreate) -> Item:
            raise ConnectionError

    said = Said()
    store = PublishingItemStore(MemoryItems(), said.publish)
    item = await store.create(ItemCreate(name="Lamp"))
    said.clear()
    await store.update(item.id, {"name": "Torch"})
    await store.delete(item.id)
    with pytest.raises(ConnectionError):
        await PublishingItemStore(Full(), said.publish).create(ItemCreate(name="Lamp"))
    assert said == []


async def test_others_messages_are_passed_over() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"\xff"
        yield b'{"type": "item.sold"}'
        for _, value in said:
            yield value[:-1] + b', "later": "field"}'

    said = Said()
    item = await PublishingItemStore(MemoryItems(), said.publish).create(ItemCreate(name="Lamp"))
    assert [heard.id async for heard in announcements(messages())] == [item.id]


async def heard(kafka: Kafka, count: int) -> list[bytes]:
    """Return the first messages of the topic, so many, in order."""
    messages: list[bytes] = []
    async with asyncio.timeout(20), contextlib.aclosing(kafka.listen(from_start=True)) as all_of_it:
        async for message in all_of_it:
            messages.append(message)
            if len(messages) == count:
                break
    return messages


async def test_what_is_created_is_heard(kafka: Kafka, store: PublishingItemStore) -> None:
    items = [await store.create(ItemCreate(name=str(n))) for n in range(250)]
    said = [Announcement.model_validate_json(message) for message in await heard(kafka, 250)]
    assert said == [Announcement.of(item) for item in items]


async def until_logged(caplog: pytest.LogCaptureFixture, message: str) -> None:
    async with asyncio.timeout(20):
        while message not in caplog.messages:
            await asyncio.sleep(0.01)


async def test_while_kafka_is_away_items_are_created_and_the_newest_wait_to_be_announced(
    kafka: Kafka,
    store: PublishingItemStore,
    server: dev.kafka.Kafka,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reference_service")
    server.brokers_down()
    try:
        started = time.monotonic()
        items = [await store.create(ItemCreate(name=str(n))) for n in range(CAPACITY + 500)]
        assert time.monotonic() - started < QUICK
        await until_logged(caplog, "Kafka unavailable; buffering messages")
        await asyncio.sleep(2 * REST)
    finally:
        server.brokers_up()
    said = [Announcement.model_validate_json(message) for message in await heard(kafka, CAPACITY)]
    assert said == [Announcement.of(item) for item in items[500:]]
    await until_logged(caplog, "Kafka available again; sending messages")
    assert [(record.message, vars(record).get("lost")) for record in caplog.records] == [
        ("messages dropped", 1),
        ("Kafka unavailable; buffering messages", None),
        ("Kafka available again; sending messages", None),
        ("messages dropped", 499),  # not a line for each
    ]


async def test_a_hung_kafka_costs_a_few_tasks_however_much_there_is_to_announce(
    kafka: Kafka, store: PublishingItemStore, server: dev.kafka.Kafka
) -> None:
    await store.create(ItemCreate(name="first"))
    await heard(kafka, 1)
    server.pause()
    try:
        for n in range(500):
            await store.create(ItemCreate(name=str(n)))
        for _ in range(20):
            await asyncio.sleep(0.2)
            assert len(asyncio.all_tasks()) < 20
    finally:
        server.resume()
    await heard(kafka, 501)


async def test_a_developer_sees_each_announcement_as_it_comes(
    kafka: Kafka, store: PublishingItemStore, server: dev.kafka.Kafka
) -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": server.url, "KAFKA_TOPICS": kafka.topics[0]}
    command = [sys.executable, "-m", "reference_service.consume"]
    listener = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
    assert listener.stdout
    line = asyncio.create_task(listener.stdout.readline())
    created = set()
    while not line.done():  # what was announced before it listened is not shown
        created.add((await store.create(ItemCreate(name="Lamp"))).id)
        await asyncio.wait({line}, timeout=0.2)
    assert Announcement.model_validate_json(await line).id in created
    listener.send_signal(signal.SIGINT)
    assert await listener.wait() == 0


@pytest.mark.parametrize(
    ("servers", "sentence"),
    [
        ("127.0.0.1", "KAFKA_BOOTSTRAP_SERVERS: not the addresses of brokers"),
        ("127.0.0.1:1", "Unable to bootstrap"),
    ],
)
def test_a_listener_that_cannot_listen_says_why(servers: str, sentence: str) -> None:
    command = [sys.executable, "-m", "reference_service.consume"]
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert sentence in line
