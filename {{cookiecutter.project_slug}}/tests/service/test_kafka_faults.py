"""Failures of Kafka, and what the probes report meanwhile. No request waits for Kafka."""

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
from dev.kafka_events import parse_events, read_messages

import reference_service.dependencies.kafka as client

from ..conftest import StartService
from ..domain import NEW, PATH
from ..processes import Service, has_port, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5
QUICK = 0.5
"""Maximum seconds, on a busy machine, of a request that does not wait for Kafka."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A cluster that the tests break. Each test repairs it."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def service(start_service: StartService, kafka: Kafka) -> Service:
    """The service with that cluster, ready, after its first event."""
    running = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    running.until_status("pass")
    until_received(kafka, create(running))
    return running


@pytest.fixture
def fast(start_service: StartService, kafka: Kafka) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    running = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url, HEALTH_CHECK_INTERVAL=1)
    running.until_status("pass")
    return running


def create(service: Service, count: int = 1) -> set[str]:
    """Send requests that must be fast, and return the ids that they created."""
    ids = set()
    for _ in range(count):
        started = time.monotonic()
        response = service.api.post(PATH, json=NEW)
        assert time.monotonic() - started < QUICK
        assert response.status_code == 201
        ids.add(response.json()["id"])
    return ids


def until_received(kafka: Kafka, ids: set[str], within: float = 20.0) -> list[str]:
    """Wait until the events with these ids have arrived. Return the ids of all events."""
    received: list[str] = []

    async def receive() -> None:
        settings = client.KafkaSettings(bootstrap_servers=kafka.url, topics="items")
        messages = read_messages(settings, from_start=True)
        async with contextlib.aclosing(messages):
            async for event in parse_events(messages):
                received.append(str(event.id))
                if ids <= set(received):
                    return

    asyncio.run(asyncio.wait_for(receive(), within))
    return received


def topics_of(kafka: Kafka) -> set[str]:
    async def fetch() -> set[str]:
        connection = await create_conn("127.0.0.1", kafka.port)
        response = await connection.send(MetadataRequest(None, False))
        await connection.close()
        return {topic["topic"] for topic in response.to_object()["topics"]}

    return asyncio.run(fetch())


def until_checked(service: Service, times: int) -> None:
    """Wait for further attempts of the check."""
    attempts = service.check("kafka")["attempts"]
    wait_until(lambda: service.check("kafka")["attempts"] >= attempts + times)


def assert_no_address_is_shown(service: Service, kafka: Kafka) -> None:
    for path in ("/health", "/health/ready?verbose", "/health/ready/kafka"):
        page = service.management.get(path).text
        assert not any(has_port(page, address.split(":")[1]) for address in kafka.url.split(","))


def test_impact_has_its_reason(service: Service) -> None:
    report = service.check("kafka")
    assert report["impact"] == "warn"
    assert report["impactReason"].startswith("no request waits for events")


def test_healthy_cluster_passes_and_each_event_arrives_once(service: Service, kafka: Kafka) -> None:
    assert service.check("kafka")["observedValue"] == {"brokers": 3, "partitions": 3}
    ids = create(service, 20)
    received = until_received(kafka, ids)
    assert all(received.count(id_) == 1 for id_ in ids)


class Outage(NamedTuple):
    inject: Callable[[Kafka], None]
    repair: Callable[[Kafka], None]
    error: str


OUTAGES = {
    "down": Outage(Kafka.brokers_down, Kafka.brokers_up, "ConnectionRefusedError"),
    "killed": Outage(Kafka.kill, Kafka.start, "ConnectionRefusedError"),
    "frozen": Outage(Kafka.pause, Kafka.resume, "TimeoutError"),
    "slow": Outage(lambda k: k.delay(2000), lambda k: k.delay(0), "TimeoutError"),
    "leaderless": Outage(
        lambda k: k.set_leader("items", 1, None), lambda k: k.set_leader("items", 1, 2), "NoLeader"
    ),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_outage_warns_in_time_and_events_arrive_after_it(
    service: Service, kafka: Kafka, outage: Outage
) -> None:
    tasks = service.tasks()
    outage.inject(kafka)
    try:
        created = create(service, 5)
        assert service.until_status("warn") <= DETECTION + SLACK
        assert {service.probe(name) for name in ("startup", "ready", "live")} == {200}
        service.until_error("kafka", outage.error)
        assert_no_address_is_shown(service, kafka)
        created |= create(service, 20)
        # Three connections and the producer have tasks. Attempts of other checks come and go.
        wait_until(lambda: service.tasks() <= tasks + 15)
    finally:
        outage.repair(kafka)
    assert service.until_status("pass") <= RECOVERY + SLACK
    until_received(kafka, created | create(service))


def test_partitions_without_a_leader_are_listed(fast: Service, kafka: Kafka) -> None:
    kafka.set_leader("items", 2, None)
    try:
        fast.until_status("warn")
        data = {"leaderless": ["items-2"], "brokers": 3, "partitions": 3}
        assert fast.check("kafka")["observedValue"] == data
    finally:
        kafka.set_leader("items", 2, 1)
    fast.until_status("pass")


def test_missing_topic_warns_at_once_and_is_not_created_by_the_check(
    start_service: StartService, kafka: Kafka
) -> None:
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, KAFKA_TOPICS="items, absent", HEALTH_CHECK_INTERVAL=1
    )
    create(service)
    until_checked(service, 3)
    service.until_status("warn")
    assert service.probe("startup") == 200
    check = service.check("kafka")
    assert (check["error"], check["observedValue"]) == ("TopicMissing", {"topics": ["absent"]})
    assert "absent" not in topics_of(kafka)
    kafka.create_topic("absent")
    service.until_status("pass")


def test_forbidden_topic_warns_at_the_first_attempt(
    start_service: StartService, kafka: Kafka
) -> None:
    kafka.create_topic("secret")
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, KAFKA_TOPICS="items,secret", HEALTH_CHECK_INTERVAL=1
    )
    service.until_status("pass")
    kafka.set_error("secret", 29)
    try:
        service.until_status("warn")
        create(service)
        service.until_error("kafka", "TopicAuthorizationFailedError")
        [failed] = service.records(
            "health check kafka: fail: TopicAuthorizationFailedError: "
            "[Error 29] TopicAuthorizationFailedError: secret"
        )
        assert failed
    finally:
        kafka.set_error("secret", 0)
    service.until_status("pass")


def test_cluster_that_responds_within_the_timeout_passes_from_the_start(
    start_service: StartService, kafka: Kafka
) -> None:
    """Opening the connection takes longer than the timeout, because it needs several requests."""
    kafka.delay(400)
    try:
        one = kafka.url.split(",")[0]
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=one, HEALTH_CHECK_INTERVAL=1)
        service.until_status("pass")
        until_checked(service, 3)
        assert service.check("kafka")["status"] == "pass"
        assert service.check("kafka")["consecutiveFailures"] == 0
    finally:
        kafka.delay(0)


def test_dead_and_silent_brokers_fail_no_attempt(start_service: StartService, kafka: Kafka) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        servers = f"127.0.0.1:{port},{kafka.url}"
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=servers, HEALTH_CHECK_INTERVAL=1)
        service.until_status("pass")
        kafka.brokers_down(1, 2)
        try:
            for _ in range(3):
                until_checked(service, 1)
                check = service.check("kafka")
                assert (check["status"], check["error"]) == ("pass", None)
        finally:
            kafka.brokers_up()


def test_service_starts_before_its_cluster(start_service: StartService, kafka: Kafka) -> None:
    kafka.brokers_down()
    try:
        service = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
        service.until_status("warn")
        assert service.probe("startup") == 200
        created = create(service, 3)
    finally:
        kafka.brokers_up()
    assert service.until_status("pass") <= RECOVERY + SLACK
    until_received(kafka, created)


def test_shutdown_waits_for_events_but_not_for_hung_brokers(
    service: Service, start_service: StartService, kafka: Kafka
) -> None:
    other = start_service(KAFKA_BOOTSTRAP_SERVERS=kafka.url)
    created = create(other, 50)
    other.signal(signal.SIGTERM)
    assert other.ends_with(within=10) == 0
    until_received(kafka, created)

    kafka.pause()
    try:
        create(service, 7)
        started = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.ends_with(within=10) == 0
        assert time.monotonic() - started < 2 + SLACK
    finally:
        kafka.resume()
    assert [line["dropped"] for line in service.records("messages dropped")] == [7]
    assert not service.records("some resources did not close cleanly")


def test_outage_leaks_no_connection_and_logs_no_python_warning(
    start_service: StartService, kafka: Kafka
) -> None:
    service = start_service(
        KAFKA_BOOTSTRAP_SERVERS=kafka.url, HEALTH_CHECK_INTERVAL=1, PYTHONDEVMODE=1
    )
    service.until_status("pass")
    until_received(kafka, create(service))
    files = Path(f"/proc/{service.process.pids[0]}/fd")
    if not files.exists():
        pytest.skip("this system does not list the files of a process")
    before = len(list(files.iterdir()))
    for _ in range(2):
        kafka.pause()
        try:
            create(service, 3)
            service.until_status("warn")
            until_checked(service, 2)
        finally:
            kafka.resume()
        service.until_status("pass")
    until_received(kafka, create(service))
    wait_until(lambda: len(list(files.iterdir())) <= before + 4)  # the check's, one per broker
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    log = service.log.read_text()
    warnings = ("never retrieved", "nclosed", "never awaited")
    assert not [warning for warning in warnings if warning in log]
