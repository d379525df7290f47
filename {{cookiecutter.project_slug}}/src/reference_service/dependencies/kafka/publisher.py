"""A publisher that sends messages in the background, so that no request waits for Kafka."""

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

# A key, a value, and the context of the request, whose trace is sent with the message.
Message = tuple[bytes, bytes, contextvars.Context]

QUEUE_SIZE = 1000  # messages that wait while Kafka is unavailable; more replace the oldest
BATCH_SIZE = 100  # messages that are sent before the first one is acknowledged
REQUEST_TIMEOUT = 3.0  # seconds without a broker's response after which a request is sent again
UNAVAILABLE_AFTER = 2.0  # seconds without a response after which Kafka is reported unavailable
RESTART_DELAY = 1.0  # seconds between the failure of a producer and the start of the next one
FLUSH_TIMEOUT = 1.5  # seconds to send the queue on close; CLOSE_TIMEOUT leaves time to log drops
STOP_TIMEOUT = 0.3  # seconds for the producer to stop
DROPS_LOG_INTERVAL = 10.0  # minimum seconds between two log lines about dropped messages


class Publisher:
    """Sends messages to one topic as soon as Kafka accepts them.

    A message is dropped if the queue is full or the process ends first. The log counts the drops.
    options: of aiokafka's producer, which is created when the first message is published.
    on_failure: called when Kafka does not accept a message in time.
    dropped: number of messages that were dropped.
    """

    def __init__(self, topic: str, **options: Any) -> None:
        self.on_failure: Callable[[], None] = lambda: None
        self.dropped = 0
        self._logged = 0  # of the dropped messages
        self._next_log = 0.0
        self._topic = topic
        self._options = options
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE_SIZE)
        self._batch: list[Message] = []
        self._sender: asyncio.Task[None] | None = None
        self._unavailable = False

    def publish(self, key: bytes, value: bytes) -> None:
        """Queue a message."""
        if self._queue.full():
            self._queue.get_nowait()
            self._queue.task_done()
            self.dropped += 1
            if time.monotonic() >= self._next_log:
                self._log_dropped()
        self._queue.put_nowait((key, value, contextvars.copy_context()))
        if self._sender is None or self._sender.done():
            # In an empty context: in a request's context, its id would be in every later log line.
            self._sender = asyncio.create_task(self._send_all(), context=contextvars.Context())

    async def close(self) -> None:
        """Send the queued messages, but not for long: a hung broker must not delay the exit."""
        if self._sender is None:
            return
        flush = asyncio.create_task(self._queue.join())
        await asyncio.wait({flush}, timeout=FLUSH_TIMEOUT)
        flush.cancel()
        self.dropped += len(self._batch) + self._queue.qsize()
        self._log_dropped()
        self._sender.cancel()
        await asyncio.wait({self._sender}, timeout=STOP_TIMEOUT)

    async def _send_all(self) -> None:
        """Send messages without end. After a failure continue with a new producer."""
        while True:
            producer = AIOKafkaProducer(
                enable_idempotence=True,  # messages that the producer sends again arrive once
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
            await asyncio.sleep(RESTART_DELAY)

    async def _fill_batch(self) -> None:
        """Wait for a message, unless the previous producer did not send the whole batch."""
        if not self._batch:
            self._batch.append(await self._queue.get())
        while len(self._batch) < BATCH_SIZE and not self._queue.empty():
            self._batch.append(self._queue.get_nowait())

    async def _send_batch(self, producer: AIOKafkaProducer) -> None:
        """Send the batch and wait until it has arrived. Messages that failed stay in the batch."""
        partitions = await producer.partitions_for(self._topic)
        if partitions != producer.client.cluster.available_partitions_for_topic(self._topic):
            # For such a partition aiokafka 0.14 asks for the leader a thousand times per second.
            raise LeaderNotAvailableError(self._topic)
        deliveries = []
        for message in self._batch.copy():
            key, value, context = message
            sending = producer.send(self._topic, value, key)
            delivery = await asyncio.create_task(sending, context=context)
            delivery.add_done_callback(functools.partial(self._on_delivery, message))
            deliveries.append(delivery)
        await asyncio.gather(*deliveries)

    def _on_delivery(self, message: Message, delivery: asyncio.Future[Any]) -> None:
        if not delivery.cancelled() and not delivery.exception():
            self._batch.remove(message)
            self._queue.task_done()

    @contextlib.contextmanager
    def _warn_if_slow(self) -> Iterator[None]:
        """Report Kafka as unavailable if the block takes long. The block continues."""
        report = functools.partial(self._report_unavailable, TimeoutError("no response yet"))
        timer = asyncio.get_running_loop().call_later(UNAVAILABLE_AFTER, report)
        try:
            yield
        finally:
            timer.cancel()

    def _report_unavailable(self, error: Exception) -> None:
        self.on_failure()
        if not self._unavailable:
            self._unavailable = True
            reason = {"error": type(error).__name__, "reason": str(error)}
            log.warning("Kafka unavailable; buffering messages", extra=reason)

    def _report_recovered(self) -> None:
        if self._unavailable:
            self._unavailable = False
            log.info("Kafka available again; sending messages")
            self._log_dropped()

    def _log_dropped(self) -> None:
        """Log how many messages were dropped since the previous line, if there are any."""
        if self.dropped > self._logged:
            log.warning("messages dropped", extra={"dropped": self.dropped - self._logged})
            self._next_log = time.monotonic() + DROPS_LOG_INTERVAL
            self._logged = self.dropped
