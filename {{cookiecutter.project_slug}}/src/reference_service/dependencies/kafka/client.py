"""Kafka: a publisher for requests, a way to listen, and the check that the topics can be used."""

import logging
import re
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ...health import Check
from .. import FailureCallback
from .brokers import Brokers
from .checks import topics_check
from .publisher import Publisher

ADDRESS = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})", re.ASCII)
TOPIC = re.compile(r"(?!\.{1,2}$)[\w.-]{1,249}", re.ASCII)
"""What Kafka takes for the name of a topic, see `org.apache.kafka.common.internals.Topic`."""


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _are_addresses(text: str) -> str:
    for part in _split(text):
        address = ADDRESS.fullmatch(part)
        if not address or not 0 < int(address[2]) < 1 << 16:
            message = "not the addresses of brokers"
            raise ValueError(message)
    return text


def _are_topics(text: str) -> str:
    if not all(TOPIC.fullmatch(part) for part in _split(text)):
        message = "not the names of topics"
        raise ValueError(message)
    return text


class KafkaSettings(BaseSettings):
    """Where the brokers are, and what has to be there."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: Annotated[str, AfterValidator(_are_addresses)] = Field(
        description="Some brokers, which know the others, as host:port,host:port."
    )
    topics: Annotated[str, AfterValidator(_are_topics)] = Field(
        "items", description="Topics that have to exist, as a,b; items are announced on the first."
    )


class Kafka:
    """The brokers of one cluster.

    options: what every connection needs besides an address, in aiokafka's words, such as
        `security_protocol`, `ssl_context` and `sasl_mechanism`.
    """

    unavailable_errors: tuple[type[Exception], ...] = ()
    """Nothing: no request waits for them."""

    def __init__(self, settings: KafkaSettings, **options: Any) -> None:
        # aiokafka repeats itself while brokers are away; each thing is said once, and by us.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        servers = _split(settings.bootstrap_servers)
        self.topics = _split(settings.topics)
        self._options = {"bootstrap_servers": servers, **options}
        self._brokers = Brokers(servers, **options)
        self._publisher = Publisher(self.topics[0], **self._options)

    def publish(self, key: bytes, value: bytes) -> None:
        """Have a message sent to the first topic, in the background."""
        self._publisher.publish(key, value)

    @property
    def lost(self) -> int:
        """The number of messages that were not sent and never will be."""
        return self._publisher.lost

    async def listen(self, *, from_start: bool = False) -> AsyncGenerator[bytes, None]:
        """Yield each message of the first topic, as it comes, for ever; outages are waited out.

        from_start: first those that are there already. Whoever listens hears everything: to share
        the work among several, and to go on after a restart, give the consumer a `group_id`.
        Raises KafkaConnectionError if no broker can be reached at first.
        """
        start = "earliest" if from_start else "latest"
        consumer = AIOKafkaConsumer(self.topics[0], auto_offset_reset=start, **self._options)
        try:
            await consumer.start()
            async for record in consumer:
                yield record.value
        finally:
            await consumer.stop()

    def checks(self) -> Iterable[Check]:
        """Return the check of the topics."""
        yield topics_check(self._brokers.ask, self.topics)

    def on_failure(self, callback: FailureCallback) -> None:
        """FailureCallback the brokers when they do not take a message."""
        self._publisher.on_trouble = lambda: callback("kafka")

    async def close(self) -> None:
        """Send what waits, as far as there is time, and close every connection."""
        self._brokers.close()
        await self._publisher.close()
