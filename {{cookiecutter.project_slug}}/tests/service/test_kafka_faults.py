"""Kafka broken by hand, and what the probes say meanwhile. Items are created all the same."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka.conn import create_conn  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from dev.kafka import Kafka

from reference_service.dependencies import kafka as resource
from reference_service.items.events import announcements

from ..conftest import StartService
from ..processes import Service, has_port, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5
QUICK = 0.5
"""Seconds within which even a busy machine has done what does not wait for Kafka."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A cluster that the tests here break; each mends what it broke."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def service(start_service: StartService, kafka: Kafka) -> Service:
    """The service on that cluster, ready, which has announced an item."""
    running = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    running.until_ready()
    until_heard(kafka, create(running))
    return running


@pytest.fixture
def eager(start_service: StartService, kafka: Kafka) -> Service:
    """The same, with checks every second, for tests that are not about the bounds."""
    running = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url, HEALTH_CHECK_INTERVAL=1)
    running.until_ready()
    return running


def create(service: Service, count: int = 1) -> set[str]:
    """Create items, each at once, and return their ids."""
    ids = set()
    for _ in range(count):
        started = time.monotonic()
        answer = service.api.post("/items", json={"name": "announced"})
        assert time.monotonic() - started < QUICK
        assert answer.status_code == 201
        ids.add(answer.json()["id"])
    return ids


def until_heard(kafka: Kafka, ids: set[str], within: float = 20.0) -> list[str]:
    """Listen until these items have been announced; return all that were, each as often."""
    heard: list[str] = []

    async def listen() -> None:
        settings = resource.KafkaSettings(bootstrap_servers=kafka.url, topics="items")
        async with contextlib.aclosing(resource.Kafka(settings).listen(from_start=True)) as said:
            async for announcement in announcements(said):
                heard.append(str(announcement.id))
                if ids <= set(heard):
                    return

    asyncio.run(asyncio.wait_for(listen(), within))
    return heard


def topics_of(kafka: Kafka) -> set[str]:
    async def ask() -> set[str]:
        connection = await create_conn("127.0.0.1", kafka.port)
        answer = await connection.send(MetadataRequest(None, False))
        await connection.close()
        return {topic["topic"] for topic in answer.to_object()["topics"]}

    return asyncio.run(ask())


def until_checked(service: Service, times: int) -> None:
    """Wait until the check has been made so many times more."""
    begun = service.check("kafka")["attempts"]
    wait_until(lambda: service.check("kafka")["attempts"] >= begun + times)


def assert_no_address_is_shown(service: Service, kafka: Kafka) -> None:
    for path in ("/health", "/health/ready?verbose", "/health/ready/kafka"):
        shown = service.management.get(path).text
        assert not any(has_port(shown, address.split(":")[1]) for address in kafka.url.split(","))


def test_a_healthy_cluster_is_ready_and_an_item_is_announced_once(
    service: Service, kafka: Kafka
) -> None:
    assert service.check("kafka")["observedValue"] == {"brokers": 3, "partitions": 3}
    ids = create(service, 20)
    heard = until_heard(kafka, ids)
    assert all(heard.count(item) == 1 for item in ids)


class Outage(NamedTuple):
    breaks: Callable[[Kafka], None]
    heals: Callable[[Kafka], None]
    code: int
    error: str


OUTAGES = {
    "down": Outage(Kafka.brokers_down, Kafka.brokers_up, 503, "ConnectionRefusedError"),
    "killed": Outage(Kafka.kill, Kafka.start, 503, "ConnectionRefusedError"),
    "frozen": Outage(Kafka.pause, Kafka.resume, 504, "TimeoutError"),
    "slow": Outage(lambda k: k.delay(2000), lambda k: k.delay(0), 504, "TimeoutError"),
    "leaderless": Outage(
        lambda k: k.set_leader("items", 1, None),
        lambda k: k.set_leader("items", 1, 2),
        503,
        "NoLeader",
    ),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_is_told_within_the_bounds_and_what_was_created_is_announced_after_it(
    service: Service, kafka: Kafka, outage: Outage
) -> None:
    tasks = service.tasks()
    outage.breaks(kafka)
    try:
        created = create(service, 5)
        assert service.until_ready(outage.code) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert service.check("kafka")["error"] == outage.error
        assert_no_address_is_shown(service, kafka)
        created |= create(service, 20)
        assert service.tasks() <= tasks + 15  # three connections, and what a producer has going
    finally:
        outage.heals(kafka)
    assert service.until_ready() <= RECOVERY + SLACK
    until_heard(kafka, created | create(service))


def test_partitions_without_a_leader_are_named(eager: Service, kafka: Kafka) -> None:
    kafka.set_leader("items", 2, None)
    try:
        eager.until_ready(503)
        seen = {"leaderless": ["items-2"], "brokers": 3, "partitions": 3}
        assert eager.check("kafka")["observedValue"] == seen
    finally:
        kafka.set_leader("items", 2, 1)
    eager.until_ready()


def test_a_missing_topic_fails_at_once_and_asking_does_not_create_it(
    start_service: StartService, kafka: Kafka
) -> None:
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, KAFKA_TOPICS="items, absent", HEALTH_CHECK_INTERVAL=1
    )
    create(service)
    until_checked(service, 3)
    assert service.probe("startup") == 503
    seen = service.check("kafka")
    assert (seen["error"], seen["observedValue"]) == ("TopicMissing", {"topics": ["absent"]})
    assert "absent" not in topics_of(kafka)
    kafka.create_topic("absent")
    service.until_ready()


def test_a_topic_that_the_service_may_not_see_fails_at_the_first_attempt(
    start_service: StartService, kafka: Kafka
) -> None:
    kafka.create_topic("secret")
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, KAFKA_TOPICS="items,secret", HEALTH_CHECK_INTERVAL=1
    )
    service.until_ready()
    kafka.set_error("secret", 29)
    try:
        service.until_ready(503)
        wait_until(lambda: service.check("kafka")["error"] == "TopicAuthorizationFailedError")
        [failed] = service.records(
            "health check kafka: fail: TopicAuthorizationFailedError: "
            "[Error 29] TopicAuthorizationFailedError: secret"
        )
        assert failed
    finally:
        kafka.set_error("secret", 0)
    service.until_ready()


def test_a_cluster_that_answers_in_less_than_the_timeout_is_ready_also_at_the_start(
    start_service: StartService, kafka: Kafka
) -> None:
    """Connecting alone takes it longer, since a broker is greeted first."""
    kafka.delay(400)
    try:
        one = kafka.url.split(",")[0]
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=one, HEALTH_CHECK_INTERVAL=1)
        service.until_ready()
        until_checked(service, 3)
        assert service.check("kafka")["status"] == "pass"
        assert service.check("kafka")["consecutiveFailures"] == 0
    finally:
        kafka.delay(0)


def test_a_broker_that_is_dead_and_one_that_is_silent_fail_no_attempt(
    start_service: StartService, kafka: Kafka
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        servers = f"127.0.0.1:{port},{kafka.url}"
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=servers, HEALTH_CHECK_INTERVAL=1)
        service.until_ready()
        kafka.brokers_down(1, 2)
        try:
            for _ in range(3):
                until_checked(service, 1)
                seen = service.check("kafka")
                assert (seen["status"], seen["error"]) == ("pass", None)
        finally:
            kafka.brokers_up()


def test_a_cluster_that_comes_late_is_waited_for_with_the_listener_open(
    start_service: StartService, kafka: Kafka
) -> None:
    kafka.brokers_down()
    try:
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
        probes = {name: service.probe(name) for name in ("live", "startup", "ready")}
        assert probes == {"live": 200, "startup": 503, "ready": 503}
        created = create(service, 3)
    finally:
        kafka.brokers_up()
    assert service.until_ready() <= RECOVERY + SLACK
    until_heard(kafka, created)


def test_the_end_waits_for_announcements_and_not_for_brokers_that_hang(
    service: Service, start_service: StartService, kafka: Kafka
) -> None:
    other = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    created = create(other, 50)
    other.signal(signal.SIGTERM)
    assert other.ends_with(within=10) == 0
    until_heard(kafka, created)

    kafka.pause()
    try:
        create(service, 7)
        started = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.ends_with(within=10) == 0
        assert time.monotonic() - started < 2 + SLACK
    finally:
        kafka.resume()
    assert [line["lost"] for line in service.records("messages dropped")] == [7]
    assert not service.records("some resources did not close cleanly")


def test_an_outage_leaves_no_connection_and_no_warning(
    start_service: StartService, kafka: Kafka
) -> None:
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, HEALTH_CHECK_INTERVAL=1, PYTHONDEVMODE=1
    )
    service.until_ready()
    until_heard(kafka, create(service))
    files = Path(f"/proc/{service.process.pids[0]}/fd")
    if not files.exists():
        pytest.skip("this system does not list the files of a process")
    before = len(list(files.iterdir()))
    for _ in range(2):
        kafka.pause()
        try:
            create(service, 3)
            service.until_ready(504)
            until_checked(service, 2)
        finally:
            kafka.resume()
        service.until_ready()
    until_heard(kafka, create(service))
    wait_until(lambda: len(list(files.iterdir())) <= before + 4)  # one a broker, for the check
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    log = service.log.read_text()
    assert not [word for word in ("never retrieved", "nclosed", "never awaited") if word in log]
