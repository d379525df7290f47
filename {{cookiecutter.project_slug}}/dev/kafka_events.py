"""Prints item events as they arrive, one JSON object per line: `make consume`."""

import asyncio
import contextlib
import sys

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from reference_service.dependencies.kafka import Kafka, KafkaSettings
from reference_service.environment import SettingsError, read_section
from reference_service.items.events import parse_events


async def consume() -> None:
    """Print events without end. Raises SettingsError, or KafkaError if no broker is reachable."""
    kafka = Kafka(read_section(KafkaSettings))
    async for event in parse_events(kafka.consume()):
        print(event.model_dump_json(), flush=True)


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(consume())
    except (SettingsError, KafkaError) as error:
        sys.exit(str(error))
