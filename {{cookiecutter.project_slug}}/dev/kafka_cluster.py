"""librdkafka's mock brokers behind ports of our choice, until SIGTERM. `dev.kafka` runs it.

    python -I kafka_cluster.py LIBRARY PORT BROKERS TOPIC,... [NAME=VALUE ...]

The brokers serve from PORT on. The port after the last one takes commands: a JSON array a line,
the command's name and its arguments, answered by an object with our process id and the error.

The functions are those of librdkafka's rdkafka_mock.h. Its brokers take any port, so they are told
to advertise ours, where we pass on all that comes.
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
    """What librdkafka would not do."""


class MockCluster:
    """The brokers 1, 2 … that librdkafka has in this process, and their topics."""

    def __init__(self, library: str, brokers: int, settings: Iterable[tuple[str, str]]) -> None:
        kafka = self._kafka = ctypes.CDLL(library)
        kafka.rd_kafka_conf_new.restype = ctypes.c_void_p
        kafka.rd_kafka_new.restype = ctypes.c_void_p
        kafka.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        kafka.rd_kafka_err2name.restype = ctypes.c_char_p
        why = ctypes.create_string_buffer(512)
        size = ctypes.c_size_t(len(why))
        conf = ctypes.c_void_p(kafka.rd_kafka_conf_new())
        for name, value in settings:
            if kafka.rd_kafka_conf_set(conf, name.encode(), value.encode(), why, size):
                raise MockError(why.value.decode())
        handle = ctypes.c_void_p(kafka.rd_kafka_new(PRODUCER, conf, why, size))
        if not handle:
            raise MockError(why.value.decode())
        self._brokers = brokers
        self._cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(handle, brokers))
        kafka.rd_kafka_mock_set_controller_id(self._cluster, 1)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the brokers listen, in the order of their ids."""
        text = self._kafka.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        pairs = [address.rsplit(":", 1) for address in text.split(",")]
        return [(host, int(port)) for host, port in pairs]

    def advertise(self, broker: int, port: int) -> None:
        """Have clients told that a broker is at this port."""
        self._kafka.rd_kafka_mock_broker_set_host_port(self._cluster, broker, b"127.0.0.1", port)

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic of which every broker has a copy."""
        create = self._kafka.rd_kafka_mock_topic_create
        self._require(create(self._cluster, name.encode(), partitions, self._brokers))

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Give a partition a leader, or none."""
        set_leader = self._kafka.rd_kafka_mock_partition_set_leader
        leader = NO_BROKER if broker is None else broker
        self._require(set_leader(self._cluster, topic.encode(), partition, leader))

    def set_error(self, topic: str, code: int) -> None:
        """Answer questions for a topic with an error."""
        self._kafka.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def delay(self, milliseconds: int) -> None:
        """Hold back every answer."""
        set_rtt = self._kafka.rd_kafka_mock_broker_set_rtt
        self._require(set_rtt(self._cluster, ALL_BROKERS, milliseconds))

    def _require(self, code: int) -> None:
        if code:
            raise MockError(self._kafka.rd_kafka_err2name(code).decode())


class Door:
    """A port of ours that leads to a broker, and can be shut."""

    def __init__(self, port: int, broker: tuple[str, int]) -> None:
        self.port = port
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Let clients in. Raises OSError if another program has the port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._pass_on, sock=listener(self.port))

    def shut(self) -> None:
        """Cut all connections, and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_broker = await asyncio.open_connection(*self._broker)
        self._open |= {writer, to_broker}
        await asyncio.gather(pump(reader, to_broker), pump(theirs, writer))
        self._open -= {writer, to_broker}


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def listener(port: int) -> socket.socket:
    """Return a socket that listens on loopback. Raises OSError if another program has the port."""
    return socket.create_server(("127.0.0.1", port))


async def serve(cluster: MockCluster, port: int) -> None:
    """Open the brokers' ports and do as told, for ever."""
    doors = {n: Door(port + n - 1, address) for n, address in enumerate(cluster.addresses, 1)}
    for broker, door in doors.items():
        await door.open()
        cluster.advertise(broker, door.port)

    def brokers_down(*brokers: int) -> None:
        for broker in brokers:
            doors[broker].shut()

    async def brokers_up(*brokers: int) -> None:
        for broker in brokers:
            await doors[broker].open()

    commands: dict[str, Callable[..., object]] = {
        "id": lambda: None,
        "brokers_down": brokers_down,
        "brokers_up": brokers_up,
        "create_topic": cluster.create_topic,
        "delay": cluster.delay,
        "set_error": cluster.set_error,
        "set_leader": cluster.set_leader,
    }

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error = None
        try:
            name, *arguments = json.loads(await reader.readline())
            doing = commands[name](*arguments)
            if asyncio.iscoroutine(doing):
                await doing
        except Exception as wrong:
            error = f"{type(wrong).__name__}: {wrong}"
        writer.write(json.dumps({"pid": os.getpid(), "error": error}).encode() + b"\n")
        writer.close()

    await (await asyncio.start_server(obey, sock=listener(port + len(doors)))).serve_forever()


def main(library: str, port: str, brokers: str, topics: str, *settings: str) -> None:
    """Make the cluster and serve it."""
    pairs = (setting.partition("=") for setting in settings)
    cluster = MockCluster(library, int(brokers), ((name, value) for name, _, value in pairs))
    for topic in filter(None, topics.split(",")):
        cluster.create_topic(topic, int(brokers))
    asyncio.run(serve(cluster, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
