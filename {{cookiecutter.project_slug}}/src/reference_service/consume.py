"""Prints item events as they arrive, one JSON object per line. This is for developers.

python -m reference_service.consume
"""

import asyncio
import contextlib
import sys

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from .dependencies.kafka import Kafka, KafkaSettings
from .environment import SettingsError, read_section
from .items.events import parse_events


async def consume() -> None:
    """Print events without end. Raises SettingsError, or KafkaError if no broker is reachable."""
    kafka = Kafka(read_section(KafkaSettings))
    async for event in parse_events(kafka.consume()):
        print(event.model_dump_json(), flush=True)  # noqa: T201 - a developer reads it


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(consume())
    except (SettingsError, KafkaError) as error:
        sys.exit(str(error))
