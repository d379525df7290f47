"""An embedded Kafka cluster: librdkafka's mock brokers, from the wheel ``confluent-kafka``."""

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dev.process import StartError
from dev.server import Server, package_folder

BROKERS = (1, 2, 3)
"""The broker ids. The brokers have consecutive ports; the next port accepts commands."""

COMMAND_TIMEOUT = 5.0
"""Seconds that the cluster can take to run a command."""


class Kafka(Server):
    """Three mock brokers: real connections and the real protocol, but no real storage.

        with Kafka(folder, topics=["items", "orders"]) as kafka:
            kafka.set_leader("items", 0, None)

    They support neither passwords nor TLS, and do not detect messages that a producer sends twice.
    A restart deletes every message, and every topic except ``topics``, which have one partition per
    broker. Like Kafka by default, they create a topic that a client asks for, unless the client
    forbids it. ``settings`` are librdkafka's, for example ``{"debug": "mock"}``.
    """

    name = "kafka"
    variable = "KAFKA_BOOTSTRAP_SERVERS"
    ports = len(BROKERS) + 1

    def __init__(
        self,
        folder: Path,
        *,
        topics: Sequence[str] = ("items",),
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
    ) -> None:
        super().__init__(folder, settings=settings, durable=durable)
        self.topics = tuple(topics)

    @property
    def url(self) -> str:
        """The addresses of all brokers."""
        return ",".join(f"127.0.0.1:{self.port + offset}" for offset in range(len(BROKERS)))

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic whose partitions all have leaders."""
        self._run("create_topic", name, partitions)

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Make a broker the partition's leader, or leave the partition without one."""
        self._run("set_leader", topic, partition, broker)

    def set_error(self, topic: str, code: int) -> None:
        """Make the brokers respond with an error to every metadata request for a topic; 0 ends it.

        code: see https://kafka.apache.org/protocol#protocol_error_codes; 29 is "not allowed".
        """
        self._run("set_error", topic, code)

    def brokers_down(self, *brokers: int) -> None:
        """Close the connections of these brokers, or of all, and refuse new ones."""
        self._run("brokers_down", *brokers or BROKERS)

    def brokers_up(self, *brokers: int) -> None:
        """Accept connections to these brokers, or to all, again. They keep their messages."""
        self._run("brokers_up", *brokers or BROKERS)

    def advertise(self, broker: int, port: int, host: str) -> None:
        """Tell clients that a broker is at another address, for example that of a proxy."""
        self._run("advertise", broker, port, host)

    def delay(self, milliseconds: int) -> None:
        """Delay every response of every broker; 0 ends it."""
        self._run("delay", milliseconds)

    def prepare(self, log: IO[bytes]) -> None:
        """Do nothing: the cluster has no files."""

    def command(self) -> list[str]:
        """Serve on loopback, with only the standard library on the path."""
        script = Path(__file__).with_name("kafka_cluster.py")
        options = [f"{name}={value}" for name, value in self.settings.items()]
        cluster = [str(_library()), str(self.port), str(len(BROKERS)), ",".join(self.topics)]
        return [sys.executable, "-I", "-S", str(script), *cluster, *options]

    def is_ready(self) -> bool:
        """Compare the process id that it reports: another program can have the port."""
        try:
            return self._send("id", timeout=0.2)["pid"] in self.process.pids
        except (KeyError, OSError, ValueError):
            return False

    def _run(self, *command: object) -> None:
        """Run a command in the cluster.

        Raises RuntimeError with librdkafka's error if it fails, TimeoutError while it is paused.
        """
        if error := self._send(*command, timeout=COMMAND_TIMEOUT)["error"]:
            raise RuntimeError(f"{self.name} cannot {command[0]}: {error}")

    def _send(self, *command: object, timeout: float) -> dict[str, object]:
        address = ("127.0.0.1", self.port + len(BROKERS))
        with socket.create_connection(address, timeout) as connection:
            connection.sendall(json.dumps(command).encode() + b"\n")
            with connection.makefile() as stream:
                response: dict[str, object] = json.loads(stream.readline())
        return response


def _library() -> Path:
    """Find librdkafka, whose folder depends on the platform's wheel."""
    package = package_folder("confluent_kafka")
    for folder in (package.with_name("confluent_kafka.libs"), package / ".dylibs"):
        for library in folder.glob("librdkafka*"):
            return library
    raise StartError(f"{package} does not contain librdkafka.")
