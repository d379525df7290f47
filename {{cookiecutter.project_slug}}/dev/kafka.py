"""A Kafka cluster of our own: librdkafka's mock brokers, from the wheel ``confluent-kafka``."""

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dev.process import StartError
from dev.server import Server, package_folder

BROKERS = (1, 2, 3)
"""Their ids. They have three ports in a row; the next port is for what is told to the cluster."""

PATIENCE = 5.0
"""Seconds that the cluster may take to do what it is told."""


class Kafka(Server):
    """Three mock brokers: real connections and the real protocol, and nothing behind them.

        with Kafka(folder, topics=["items", "orders"]) as kafka:
            kafka.set_leader("items", 0, None)

    They know neither passwords nor TLS, and do not notice when a producer sends something again. A
    restart forgets every message, and every topic but ``topics``, which have as many partitions as
    there are brokers. As Kafka by default, they create a topic that a client asks for, unless it
    says that they must not. ``settings`` are librdkafka's, as ``{"debug": "mock"}``.
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
        return ",".join(f"127.0.0.1:{self.port + place}" for place in range(len(BROKERS)))

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic, whose partitions all have leaders."""
        self._tell("create_topic", name, partitions)

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Make a broker the partition's leader, or let it have none."""
        self._tell("set_leader", topic, partition, broker)

    def set_error(self, topic: str, code: int) -> None:
        """Have the brokers answer questions for a topic with an error of Kafka's; 0 ends it.

        code: as https://kafka.apache.org/protocol#protocol_error_codes has it; 29 is "not allowed".
        """
        self._tell("set_error", topic, code)

    def brokers_down(self, *brokers: int) -> None:
        """Cut the connections of these brokers, or of all, and refuse new ones."""
        self._tell("brokers_down", *brokers or BROKERS)

    def brokers_up(self, *brokers: int) -> None:
        """Let these brokers, or all, be reached again, with what they had."""
        self._tell("brokers_up", *brokers or BROKERS)

    def delay(self, milliseconds: int) -> None:
        """Have every answer of every broker take so long; 0 ends it."""
        self._tell("delay", milliseconds)

    def prepare(self, log: IO[bytes]) -> None:
        """Nothing: it keeps nothing."""

    def command(self) -> list[str]:
        """Serve on loopback, without what else is on Python's path."""
        script = Path(__file__).with_name("kafka_cluster.py")
        options = [f"{name}={value}" for name, value in self.settings.items()]
        what = [str(_library()), str(self.port), str(len(BROKERS)), ",".join(self.topics)]
        return [sys.executable, "-I", "-S", str(script), *what, *options]

    def answers(self) -> bool:
        """Ask it for its process id: another program may have the port."""
        try:
            return self._ask("id", timeout=0.2)["pid"] in self.process.pids
        except (KeyError, OSError, ValueError):
            return False

    def _tell(self, *words: object) -> None:
        """Have the cluster do something. Raises RuntimeError with librdkafka's word if it cannot.

        Raises TimeoutError while it is paused.
        """
        if error := self._ask(*words, timeout=PATIENCE)["error"]:
            raise RuntimeError(f"{self.name} cannot {words[0]}: {error}")

    def _ask(self, *words: object, timeout: float) -> dict[str, object]:
        address = ("127.0.0.1", self.port + len(BROKERS))
        with socket.create_connection(address, timeout) as connection:
            connection.sendall(json.dumps(words).encode() + b"\n")
            with connection.makefile() as answer:
                told: dict[str, object] = json.loads(answer.readline())
        return told


def _library() -> Path:
    """Find librdkafka, which lies elsewhere in each system's wheel."""
    package = package_folder("confluent_kafka")
    for folder in (package.with_name("confluent_kafka.libs"), package / ".dylibs"):
        for library in folder.glob("librdkafka*"):
            return library
    raise StartError(f"{package} comes without librdkafka.")
