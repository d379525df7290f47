"""librdkafka's mock brokers on chosen ports. `dev.kafka` runs this until SIGTERM.

    python -I kafka_cluster.py LIBRARY PORT BROKERS TOPIC,... [NAME=VALUE ...]

The brokers serve on consecutive ports from PORT on. The port after the last one accepts commands: a
line with a JSON array, the command's name and its arguments. The response is an object with the
process id and the error.

The functions are those of librdkafka's rdkafka_mock.h. Its brokers listen on random ports. So each
one advertises a chosen port, and a proxy there forwards everything to the broker.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable

PRODUCER = 0
NO_BROKER = ALL_BROKERS = -1


class MockError(Exception):
    """librdkafka has rejected a request."""


class MockCluster:
    """The brokers 1, 2, … that librdkafka runs in this process, with their topics."""

    def __init__(self, library: str, brokers: int, settings: Iterable[tuple[str, str]]) -> None:
        kafka = self._kafka = ctypes.CDLL(library)
        kafka.rd_kafka_conf_new.restype = ctypes.c_void_p
        kafka.rd_kafka_new.restype = ctypes.c_void_p
        kafka.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        kafka.rd_kafka_err2name.restype = ctypes.c_char_p
        error = ctypes.create_string_buffer(512)
        size = ctypes.c_size_t(len(error))
        conf = ctypes.c_void_p(kafka.rd_kafka_conf_new())
        for name, value in settings:
            if kafka.rd_kafka_conf_set(conf, name.encode(), value.encode(), error, size):
                raise MockError(error.value.decode())
        handle = ctypes.c_void_p(kafka.rd_kafka_new(PRODUCER, conf, error, size))
        if not handle:
            raise MockError(error.value.decode())
        self._brokers = brokers
        self._cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(handle, brokers))
        kafka.rd_kafka_mock_set_controller_id(self._cluster, 1)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses where the brokers listen, in the order of their ids."""
        text = self._kafka.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        pairs = [address.rsplit(":", 1) for address in text.split(",")]
        return [(host, int(port)) for host, port in pairs]

    def advertise(self, broker: int, port: int, host: str = "127.0.0.1") -> None:
        """Tell clients that a broker is at this address."""
        address = host.encode(), port
        self._kafka.rd_kafka_mock_broker_set_host_port(self._cluster, broker, *address)

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with a copy on every broker."""
        create = self._kafka.rd_kafka_mock_topic_create
        self._require(create(self._cluster, name.encode(), partitions, self._brokers))

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Set or remove the leader of a partition."""
        set_leader = self._kafka.rd_kafka_mock_partition_set_leader
        leader = NO_BROKER if broker is None else broker
        self._require(set_leader(self._cluster, topic.encode(), partition, leader))

    def set_error(self, topic: str, code: int) -> None:
        """Respond with an error to metadata requests for a topic."""
        self._kafka.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def delay(self, milliseconds: int) -> None:
        """Delay every response."""
        set_rtt = self._kafka.rd_kafka_mock_broker_set_rtt
        self._require(set_rtt(self._cluster, ALL_BROKERS, milliseconds))

    def _require(self, code: int) -> None:
        if code:
            raise MockError(self._kafka.rd_kafka_err2name(code).decode())


class BrokerProxy:
    """A port that forwards to a broker and can be closed."""

    def __init__(self, port: int, broker: tuple[str, int]) -> None:
        self.port = port
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Accept clients. Raises OSError if another program has the port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._forward, sock=listener(self.port))

    def close(self) -> None:
        """Close all connections and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(*self._broker)
        self._writers |= {writer, to_broker}
        await asyncio.gather(copy(reader, to_broker), copy(from_broker, writer))
        self._writers -= {writer, to_broker}


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy data, and then the end of the stream."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def listener(port: int) -> socket.socket:
    """Listen on loopback. Raises OSError if another program has the port."""
    return socket.create_server(("127.0.0.1", port))


async def serve(cluster: MockCluster, port: int) -> None:
    """Open the brokers' ports and run commands until the process ends."""
    proxies = {n: BrokerProxy(port + n - 1, to) for n, to in enumerate(cluster.addresses, 1)}
    for broker, proxy in proxies.items():
        await proxy.open()
        cluster.advertise(broker, proxy.port)

    def brokers_down(*brokers: int) -> None:
        for broker in brokers:
            proxies[broker].close()

    async def brokers_up(*brokers: int) -> None:
        for broker in brokers:
            await proxies[broker].open()

    commands: dict[str, Callable[..., object]] = {
        "advertise": cluster.advertise,
        "id": lambda: None,
        "brokers_down": brokers_down,
        "brokers_up": brokers_up,
        "create_topic": cluster.create_topic,
        "delay": cluster.delay,
        "set_error": cluster.set_error,
        "set_leader": cluster.set_leader,
    }

    async def handle_command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error = None
        try:
            name, *arguments = json.loads(await reader.readline())
            result = commands[name](*arguments)
            if asyncio.iscoroutine(result):
                await result
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        writer.write(json.dumps({"pid": os.getpid(), "error": error}).encode() + b"\n")
        writer.close()

    control = listener(port + len(proxies))
    await (await asyncio.start_server(handle_command, sock=control)).serve_forever()


def main(library: str, port: str, brokers: str, topics: str, *settings: str) -> None:
    """Create the cluster and serve it."""
    pairs = (setting.partition("=") for setting in settings)
    cluster = MockCluster(library, int(brokers), ((name, value) for name, _, value in pairs))
    for topic in filter(None, topics.split(",")):
        cluster.create_topic(topic, int(brokers))
    asyncio.run(serve(cluster, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
