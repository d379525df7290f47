"""The check of RabbitMQ: a message is confirmed, and the queues of the service exist."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from aiormq import abc, exceptions

from ..health import Check, CheckFailed, CheckResult, PermanentFailure, tasks

TIMEOUT = 1.0  # seconds for an attempt, after which the check finds out why it waits
REPLACE_AFTER = 30.0  # seconds after which an attempt that hangs gets another connection
OWN_QUEUE = "health_check"
ARGUMENTS: abc.ArgumentsType = {"x-queue-type": "quorum", "x-max-length": 1}
Connect = Callable[[], Awaitable[abc.AbstractConnection]]


class AuthenticationFailed(PermanentFailure):
    """The server rejects the user or the password."""


class ConnectionBlocked(CheckFailed):
    """The server has too little memory or disk, so it reads nothing from publishers."""


class PermissionDenied(PermanentFailure):
    """The user may not use the virtual host, or the queue of the check."""


class QueueMissing(PermanentFailure):
    """There is no such queue."""


class QueueUnavailable(CheckFailed):
    """The queue exists, but its node is down, or it has crashed."""


class QuorumLost(CheckFailed):
    """The server responds, but too many nodes are lost to store a message."""


def publish_check(connect: Connect, queues: Sequence[str] = (), *, name: str = "rabbitmq") -> Check:
    """Return the check that a message to a queue of its own is confirmed, and that `queues` exist.

    connect: opens a connection of aiormq for this check alone.
    """
    attributes = {"messaging.system": "rabbitmq"}
    check = _Session(connect, queues).check
    return Check(name, check, timeout=2 * TIMEOUT, attributes=attributes)


class _Session:
    """One connection. An attempt that hangs is not repeated, or connections would pile up."""

    def __init__(self, connect: Connect, queues: Sequence[str]) -> None:
        self._connect, self._queues = connect, queues
        self._connection: abc.AbstractConnection | None = None
        self._running: asyncio.Task[CheckResult] | None = None
        self._started_at, self._publishing = 0.0, False

    async def check(self) -> CheckResult:
        now = asyncio.get_running_loop().time()
        hung = now > self._started_at + REPLACE_AFTER and not await self._is_blocked()
        if self._running and not self._running.done() and hung:
            self._running.cancel()  # this closes its connection
            self._running = self._connection = None
        if self._running is None or self._running.done():
            self._running, self._started_at = asyncio.create_task(self._attempt()), now
            tasks.ignore_exception(self._running)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.shield(self._running)
        except TimeoutError:
            if await self._is_blocked():
                raise ConnectionBlocked("a memory or disk alarm blocks publishers") from None
            if self._publishing:
                raise QuorumLost("too few nodes are left to store a message") from None
            raise

    async def _attempt(self) -> CheckResult:
        self._publishing, connection = False, self._connection
        try:
            if connection is None or connection.is_closed:
                connection = self._connection = await self._connect()
            channel = await connection.channel()
            await channel.queue_declare(OWN_QUEUE, durable=True, arguments=ARGUMENTS)
            messages = {queue: await _count_messages(channel, queue) for queue in self._queues}
            self._publishing = True
            await channel.basic_publish(b"", routing_key=OWN_QUEUE, mandatory=True)
            await channel.close()
        except exceptions.ProbableAuthenticationError:
            raise AuthenticationFailed("the server rejects the user or the password") from None
        except exceptions.InvalidFrameError:  # the server closes instead of opening
            raise PermissionDenied("the server rejects the virtual host") from None
        except exceptions.ChannelAccessRefused:
            raise PermissionDenied("the user lacks a permission", queue=OWN_QUEUE) from None
        except (asyncio.CancelledError, exceptions.AMQPError):
            if connection:
                await connection.close()
            raise
        return CheckResult(data=messages)

    async def _is_blocked(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                if self._connection and not self._connection.is_closed:
                    await self._connection.ready()
                return False
        return True


async def _count_messages(channel: abc.AbstractChannel, queue: str) -> int | None:
    """Return the number of messages in a queue. Raises CheckFailed if it cannot be used."""
    try:
        return (await channel.queue_declare(queue, passive=True)).message_count
    except exceptions.ChannelNotFoundEntity as error:
        if "no queue" in str(error):
            raise QueueMissing("there is no such queue", queue=queue) from None
        raise QueueUnavailable("its node is down, or it has crashed", queue=queue) from None
