"""Prints item events as they arrive, one JSON object per line: `make consume`."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from pydantic import ValidationError

from reference_service.dependencies.kafka import KafkaSettings
from reference_service.dependencies.kafka.settings import split_list
from reference_service.environment import SettingsError, read_section
from reference_service.items.events import ItemCreated

log = logging.getLogger(__name__)


async def read_messages(
    settings: KafkaSettings, *, from_start: bool = False
) -> AsyncGenerator[bytes, None]:
    """Yield each message of the first topic as it arrives, without end and through outages.

    from_start: yield the existing messages first.
    Each consumer receives every message. To share the messages among several consumers, and to
    continue after a restart, pass a `group_id` to AIOKafkaConsumer.
    Raises KafkaConnectionError if no broker can be reached at first.
    """
    topic, *_ = split_list(settings.topics)
    servers = split_list(settings.bootstrap_servers)
    offset = "earliest" if from_start else "latest"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset=offset)
    try:
        await consumer.start()
        async for record in consumer:
            yield record.value
    finally:
        await consumer.stop()


async def parse_events(messages: AsyncIterable[bytes]) -> AsyncIterator[ItemCreated]:
    """Yield the events in a stream of messages. Other messages are logged and ignored."""
    async for message in messages:
        try:
            yield ItemCreated.model_validate_json(message)
        except ValidationError as error:
            log.warning("ignored invalid item event", extra={"errors": error.error_count()})


async def consume() -> None:
    """Print events without end. Raises SettingsError, or KafkaError if no broker is reachable."""
    # While brokers are unavailable aiokafka logs the same error again and again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async for event in parse_events(read_messages(read_section(KafkaSettings))):
        print(event.model_dump_json(), flush=True)


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(consume())
    except (SettingsError, KafkaError) as error:
        sys.exit(str(error))
