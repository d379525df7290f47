"""The check of a JetStream stream of NATS: it exists, has a leader and accepts messages."""

from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from ..health import Check, CheckFailed, CheckResult

TIMEOUT = 1.0  # seconds for an attempt, which can open a connection
SILENT_AFTER = 5e9  # nanoseconds without contact after which the leader has lost a replica


class JetStreamUnavailable(CheckFailed):
    """JetStream is disabled, or the cluster has no leader."""


class LeaderMissing(CheckFailed):
    """No server is the leader of the stream, so no message is accepted."""


class QuorumLost(CheckFailed):
    """The leader has lost too many replicas to store a message."""


class StreamFull(CheckFailed):
    """The stream is at its limit and rejects new messages."""


class StreamMissing(CheckFailed):
    """There is no such stream."""


def stream_check(connect: Callable[[], Awaitable[Client]], stream: str, *, name: str) -> Check:
    """Return the check that a stream accepts messages. It publishes none.

    connect: opens a connection for this check alone. It must not reconnect, but fail at once.
    """
    client: Client | None = None

    async def check() -> CheckResult:
        nonlocal client
        if client is None or client.is_closed:
            client = await connect()
        try:
            info = await client.jetstream(timeout=2 * TIMEOUT).stream_info(stream)
        except NotFoundError:
            raise StreamMissing("there is no such stream") from None
        except ServiceUnavailableError:
            raise JetStreamUnavailable("JetStream does not respond") from None
        except APIError as error:
            raise JetStreamUnavailable("JetStream reports an error", code=error.err_code) from None
        return _judge(info)

    attributes = {"messaging.system": "nats", "messaging.destination.name": stream}
    return Check(name, check, timeout=TIMEOUT, attributes=attributes)


def _judge(info: StreamInfo) -> CheckResult:
    """Pass if the leader can store another message. Raises CheckFailed."""
    config, state = info.config, info.state
    peers = (info.cluster.replicas or []) if info.cluster else []
    lost = sum(bool(each.offline) or (each.active or 0) > SILENT_AFTER for each in peers)
    data = {"messages": state.messages, "bytes": state.bytes, "replicas": 1 + len(peers) - lost}
    if info.cluster and not info.cluster.leader:
        raise LeaderMissing("the stream has no leader", **data)
    if 2 * lost > len(peers):
        raise QuorumLost("too many replicas are lost", **data)
    if config.discard == DiscardPolicy.NEW and (
        0 < (config.max_msgs or 0) <= state.messages or 0 < (config.max_bytes or 0) <= state.bytes
    ):
        raise StreamFull("the stream is at its limit", **data)
    return CheckResult(data=data)
