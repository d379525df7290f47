"""Sends messages in the background: who publishes one neither waits for Kafka nor fails by it."""

import asyncio
import contextlib
import contextvars
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import LeaderNotAvailableError  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

Message = tuple[bytes, bytes, contextvars.Context]
"""A key, a value, and whose they are: tracing sends the request's trace along."""

CAPACITY = 1000
"""Messages that wait while Kafka is away. A further one takes the place of the oldest."""

BATCH = 100
"""Messages, taken from those that wait, that are sent before the first is known to be there."""

REQUEST_TIMEOUT = 3.0
"""Seconds after which a request that no broker has answered is made again."""

PATIENCE = 2.0
"""Seconds without an answer after which Kafka counts as away."""

REST = 1.0
"""Seconds between a producer that failed and the next one."""

FLUSH_TIMEOUT = 1.5
"""Seconds that closing has for what waits; less than `CLOSE_TIMEOUT`, so that losses are told."""

LOG_GAP = 10.0
"""Seconds between two lines that count losses."""


class Publisher:
    """Sends messages to one topic, as soon as Kafka takes them.

    A message is lost when too many wait, or when the process ends first; the log counts the losses.
    options: of aiokafka's producer, which is made when there is a first message.
    """

    def __init__(self, topic: str, **options: Any) -> None:
        self.on_trouble: Callable[[], None] = lambda: None
        """Called when Kafka does not take a message."""
        self._topic = topic
        self._options = options
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(CAPACITY)
        self._batch: list[Message] = []
        self._sending: asyncio.Task[None] | None = None
        self._away = False
        self.lost = 0
        self._told = 0
        self._silent_until = 0.0

    def publish(self, key: bytes, value: bytes) -> None:
        """Have a message sent."""
        if self._waiting.full():
            self._waiting.get_nowait()
            self._waiting.task_done()
            self._count_dropped(1)
        self._waiting.put_nowait((key, value, contextvars.copy_context()))
        if self._sending is None or self._sending.done():
            # In no request's context: its id would stand in every line that is ever logged here.
            self._sending = asyncio.create_task(self._send_all(), context=contextvars.Context())

    async def close(self) -> None:
        """Send what waits. After a while give up: brokers that hang must not hold up the end."""
        if self._sending is None:
            return
        flush = asyncio.create_task(self._waiting.join())
        await asyncio.wait({flush}, timeout=FLUSH_TIMEOUT)
        flush.cancel()
        self._count_dropped(len(self._batch) + self._waiting.qsize())
        self._log_dropped()
        self._sending.cancel()
        await asyncio.wait({self._sending}, timeout=0.3)

    async def _send_all(self) -> None:
        """Send what comes, for ever, with a new producer when one has failed."""
        while True:
            producer = AIOKafkaProducer(
                enable_idempotence=True,  # what it makes again by itself arrives once
                request_timeout_ms=int(REQUEST_TIMEOUT * 1000),
                retry_backoff_ms=500,
                **self._options,
            )
            try:
                with self._warn_if_slow():
                    await producer.start()
                while True:
                    await self._fill_batch()
                    with self._warn_if_slow():
                        await self._send_batch(producer)
                    self._report_recovered()
            except Exception as error:
                self._report_unavailable(error)
            finally:
                await producer.stop()
            await asyncio.sleep(REST)

    async def _fill_batch(self) -> None:
        """Wait for messages, unless an earlier producer left some."""
        if not self._batch:
            self._batch.append(await self._waiting.get())
        while len(self._batch) < BATCH and not self._waiting.empty():
            self._batch.append(self._waiting.get_nowait())

    async def _send_batch(self, producer: AIOKafkaProducer) -> None:
        """Send the batch, and return when it has arrived; what has not is left in it."""
        partitions = await producer.partitions_for(self._topic)
        if partitions != producer.client.cluster.available_partitions_for_topic(self._topic):
            # Given a message for it, aiokafka 0.14 asks for a leader a thousand times a second.
            raise LeaderNotAvailableError(self._topic)
        sent = []
        for message in self._batch.copy():
            key, value, context = message
            sending = producer.send(self._topic, value, key)
            sent.append(await asyncio.create_task(sending, context=context))
            sent[-1].add_done_callback(functools.partial(self._settle, message))
        await asyncio.gather(*sent)

    def _settle(self, message: Message, arrival: asyncio.Future[Any]) -> None:
        if not arrival.cancelled() and not arrival.exception():
            self._batch.remove(message)
            self._waiting.task_done()

    @contextlib.contextmanager
    def _warn_if_slow(self) -> Iterator[None]:
        """Complain when what is done takes long; it goes on."""
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(PATIENCE, self._report_unavailable, TimeoutError("no answer yet"))
        try:
            yield
        finally:
            alarm.cancel()

    def _report_unavailable(self, error: Exception) -> None:
        self.on_trouble()
        if not self._away:
            self._away = True
            reason = {"error": type(error).__name__, "reason": str(error)}
            log.warning("Kafka unavailable; buffering messages", extra=reason)

    def _report_recovered(self) -> None:
        if self._away:
            self._away = False
            log.info("Kafka available again; sending messages")
            self._log_dropped()

    def _count_dropped(self, count: int) -> None:
        self.lost += count
        if self.lost > self._told and time.monotonic() >= self._silent_until:
            self._log_dropped()

    def _log_dropped(self) -> None:
        if self.lost > self._told:
            log.warning("messages dropped", extra={"lost": self.lost - self._told})
            self._silent_until = time.monotonic() + LOG_GAP
            self._told = self.lost
