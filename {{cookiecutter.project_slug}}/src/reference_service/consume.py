"""Prints the announcements of items as they come, one JSON object a line: for developers.

python -m reference_service.consume
"""

import asyncio
import contextlib
import sys

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from .dependencies.kafka.client import Kafka, KafkaSettings
from .environment import SettingsError, read
from .items.events import announcements


async def listen() -> None:
    """Print for ever. Raises SettingsError, and KafkaError if no broker can be reached at first."""
    kafka = Kafka(read([KafkaSettings])[KafkaSettings])
    async for announcement in announcements(kafka.listen()):
        print(announcement.model_dump_json(), flush=True)  # noqa: T201 - it is for people


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(listen())
    except (SettingsError, KafkaError) as error:
        sys.exit(str(error))
