"""Failures of a group under sentinels, and what probes and requests return meanwhile."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest
from pydantic import SecretStr

import dev.sentinel
import dev.sentinel_nodes

from reference_service.dependencies.redis import Redis, RedisSettings
from reference_service.dependencies.redis.client import MAX_CONNECTIONS
from reference_service.dependencies.sentinel import (
    Sentinel,
    SentinelSettings,
    route_through_sentinel,
)
from reference_service.dependencies.sentinel.nodes import TIMEOUT
from reference_service.health import CheckFailed, run_once

from ..conftest import StartService
from ..domain import CHANGE, NEW, PATH
from ..processes import Service, eventually, wait_until


def poll_often(group: dev.sentinel.Sentinels) -> None:
    """Make the sentinels poll the data nodes every half second instead of every 10 s."""
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")


@pytest.fixture(scope="module")
def running_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.sentinel.Sentinels]:
    with dev.sentinel.Sentinels(tmp_path_factory.mktemp("sentinel")) as group:
        yield group


@pytest.fixture
def group(running_group: dev.sentinel.Sentinels) -> Iterator[dev.sentinel.Sentinels]:
    """A group that the tests break. It is complete again before the next test."""
    poll_often(running_group)
    yield running_group
    poll_often(running_group)
    wait_until(running_group.is_ready)


@pytest.fixture
def service(start_service: StartService, group: dev.sentinel.Sentinels) -> Service:
    """The service with that group and with frequent checks, so that it misses no state."""
    running = start_service(REDIS_SENTINELS=group.url, HEALTH_CHECK_INTERVAL=0.2)
    running.until_ready()
    return running


class Traffic(threading.Thread):
    """Sends requests and liveness probes one after another until the end of the block."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.codes: set[int] = set()
        self.count = 0
        self._url = service.url
        self._stop_requested = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as api:
            path = f"{PATH}/{api.post(PATH, json=NEW).json()['id']}"
            while not self._stop_requested.wait(0.02):
                responses = [
                    api.get(path),
                    api.patch(path, json=CHANGE),
                    api.get("/health/live"),
                ]
                self.codes |= {response.status_code for response in responses}
                self.count += 1

    def __enter__(self) -> Self:
        self.start()
        wait_until(lambda: self.count)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_requested.set()
        self.join()


@contextlib.contextmanager
def down(how: str, *members: dev.sentinel_nodes.Member) -> Iterator[None]:
    """Freeze or kill some members until the end of the block."""
    for member in members:
        if how == "frozen":
            member.pause()
        else:
            member.kill()
    try:
        yield
    finally:
        for member in members:
            if how == "frozen":
                member.resume()
            else:
                member.start()


each_way = pytest.mark.parametrize("how", ["frozen", "killed"])


def create_client(group: dev.sentinel.Sentinels) -> Sentinel:
    """Return the service's client of the group."""
    settings = SentinelSettings.model_construct(
        sentinels=group.url,
        sentinel_master="mymaster",
        sentinel_password=None,
        sentinel_strict=False,
    )
    return Sentinel(settings, SecretStr("redis://"))


def check(service: Service) -> dict[str, Any]:
    """Return the check's latest result, merged with its data."""
    result = service.check("redis.sentinel")
    return {**result, **result["observedValue"]}


def test_complete_group_passes_and_reports_each_sentinel_without_its_address(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    result = service.check("redis.sentinel")
    assert result["status"] == "pass"
    assert result["observedValue"] == {
        **dict.fromkeys(("sentinel-1", "sentinel-2", "sentinel-3"), "ok"),
        "primary": "ok",
        "failovers": 0,
    }
    assert service.check("redis")["observedValue"] == {"role": "primary", "replicas": 2}
    assert "127.0.0.1" not in service.management.get("/health").text


@each_way
def test_one_sentinel_down_warns_with_its_name_and_leaves_the_service_ready(
    service: Service, group: dev.sentinel.Sentinels, how: str
) -> None:
    with down(how, group.sentinels[1]):
        wait_until(lambda: check(service)["status"] == "warn")
        response = service.api.get("/health/ready")
        assert (response.status_code, response.json()) == (200, {"status": "warn"})
        result = check(service)
        assert (result["sentinel-1"], result["sentinel-3"]) == ("ok", "ok")
        record, *_ = service.records("sentinel state changed")
        assert record["sentinel"] == "sentinel-2"
        for state in (result["sentinel-2"], record["state"]):  # it lost its connection, or has none
            assert (
                state
                in {
                    "frozen": ["PING: TimeoutError"],
                    "killed": ["PING: ConnectionError", "TCP: ConnectionError"],
                }[how]
            )
        assert record["address"] == ["127.0.0.1", group.sentinels[1].port]
    wait_until(lambda: check(service)["status"] == "pass")


@each_way
def test_two_sentinels_down_warn_while_requests_succeed(
    service: Service, group: dev.sentinel.Sentinels, how: str
) -> None:
    with Traffic(service) as traffic, down(how, *group.sentinels[:2]):
        error = {"frozen": "QuorumTimeout", "killed": "QuorumLost"}[how]
        service.until_error("redis.sentinel", error)
        service.until_status("warn")
        assert service.check("redis")["status"] == "pass"
    service.until_status("pass")
    assert traffic.codes == {200}


def test_frozen_sentinel_accumulates_no_tasks(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    with Traffic(service) as traffic, down("frozen", group.sentinels[0]):
        wait_until(lambda: check(service)["status"] == "warn")
        tasks, attempts = service.tasks(), check(service)["attempts"]
        wait_until(lambda: check(service)["attempts"] > attempts + 5)
        wait_until(lambda: service.tasks() <= tasks + 5)  # attempts of other checks come and go
    assert traffic.codes == {200}


async def test_concurrent_searches_ask_each_sentinel_once_and_do_not_wait_for_a_frozen_one(
    group: dev.sentinel.Sentinels,
) -> None:
    sentinel = create_client(group)

    def connections() -> int:
        return int(group.sentinels[1].info("stats")["total_connections_received"])

    times = []
    with down("frozen", group.sentinels[0]):
        before = connections()
        for _ in range(3):
            started = time.monotonic()
            found = await asyncio.gather(*(sentinel.discover_master("") for _ in range(200)))
            times.append(time.monotonic() - started)
            assert len(set(found)) == 1
        assert connections() - before < 30  # these, and those of the other sentinels
    assert min(times) < TIMEOUT
    await sentinel.close()


async def test_command_waits_for_a_connection_to_the_primary_when_all_are_in_use(
    group: dev.sentinel.Sentinels,
) -> None:
    redis = Redis(RedisSettings.model_construct(url=SecretStr("redis://")))
    settings = SentinelSettings.model_construct(sentinels=group.url, sentinel_password=None)
    [sentinel] = route_through_sentinel(redis, settings)
    commands = [redis.client.set(str(number), "x") for number in range(4 * MAX_CONNECTIONS)]
    assert all(await asyncio.gather(*commands))
    await redis.close()
    await sentinel.close()


def test_one_sentinel_down_takes_a_service_that_needs_redis_out_of_rotation_in_strict_mode(
    start_service: StartService, group: dev.sentinel.Sentinels
) -> None:
    service = start_service(
        REDIS_SENTINELS=group.url,
        REDIS_SENTINEL_STRICT="true",
        HEALTH_REDIS_IMPACT="fail",
        HEALTH_CHECK_INTERVAL=0.2,
    )
    service.until_ready()
    with down("killed", group.sentinels[2]):
        service.until_ready(503)
        service.until_error("redis.sentinel", "SentinelDown")
        assert check(service)["sentinel-3"] == "TCP: ConnectionError"
    service.until_ready()


@each_way
def test_primary_down_warns_until_the_service_has_followed_the_failover(
    service: Service, group: dev.sentinel.Sentinels, how: str
) -> None:
    primary = group.current_primary()
    assert primary
    with Traffic(service) as traffic, down(how, primary):
        errors = {"PrimaryTimeout", "PrimaryDown", "FailingOver"}
        wait_until(lambda: check(service)["error"] in errors)
        service.until_status("warn")
        wait_until(lambda: check(service)["error"] is None and check(service)["failovers"])
        assert (check(service)["primary"], check(service)["failovers"]) == ("ok", 1)
        wait_until(lambda: service.check("redis")["status"] == "pass")
        assert service.check("redis")["observedValue"]["role"] == "primary"
    assert traffic.codes == {200}
    [record] = service.records("primary changed; reconnecting")
    new = group.current_primary()
    assert new
    assert (record["from"][1], record["to"][1]) == (primary.port, new.port)


@each_way
async def test_check_reports_the_failover_of_a_primary_that_is_down(
    group: dev.sentinel.Sentinels, how: str
) -> None:
    primary = group.current_primary()
    assert primary
    sentinel = create_client(group)
    [sentinel_check] = sentinel.checks()
    await run_once(sentinel_check)
    outcomes: list[str] = []

    async def passes() -> bool:
        try:
            result = await run_once(sentinel_check)
            assert result
            outcomes.append(result.status)
        except CheckFailed as error:
            outcomes.append(type(error).__name__)
        return outcomes[-1] == "pass" and len(outcomes) > 1

    with down(how, primary):
        await eventually(passes)
    assert outcomes[0] == {"frozen": "PrimaryTimeout", "killed": "PrimaryDown"}[how]
    assert "FailingOver" in outcomes
    await sentinel.close()


def test_primary_that_became_a_replica_by_hand_warns(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    primary = group.current_primary()
    assert primary
    primary.ask("REPLICAOF", "127.0.0.1", "1")
    service.until_error("redis", "NotPrimary")
    service.until_status("warn")
    service.until_status("pass")  # the sentinels have promoted another one


def test_planned_failover_fails_no_probe_and_no_request(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    codes = set()

    def ready() -> bool:
        codes.add(service.probe("ready"))
        return codes == {200}

    with Traffic(service) as traffic:
        group.failover()
        wait_until(lambda: not ready() or check(service)["failovers"])
        wait_until(lambda: not ready() or group.is_ready())
    assert codes | traffic.codes == {200}
    wait_until(lambda: service.check("redis")["observedValue"]["replicas"] == 2)


def test_requests_succeed_while_the_whole_group_is_down(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    with Traffic(service) as traffic:
        group.kill()
        try:
            service.until_status("warn")
            wait_until(lambda: service.check("redis")["status"] == "warn")
        finally:
            group.start()
        service.until_status("pass")
    assert traffic.codes == {200}


def test_unknown_master_has_its_own_error(
    start_service: StartService, group: dev.sentinel.Sentinels
) -> None:
    service = start_service(REDIS_SENTINELS=group.url, REDIS_SENTINEL_MASTER="other")
    service.until_error("redis.sentinel", "MasterUnknown")
    assert check(service)["sentinel-1"] == "primary not monitored"
    service.until_status("warn")
    assert service.probe("startup") == 200


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.sentinel.Sentinels]:
    """A group with two passwords: one for the data nodes, one for the sentinels."""
    folder = tmp_path_factory.mktemp("locked")
    with dev.sentinel.Sentinels(folder, password="p@ss", sentinel_password="hunter2") as group:
        yield group


def change_password(sentinel: dev.sentinel_nodes.Member, password: str) -> None:
    sentinel.ask("ACL", "SETUSER", "default", "resetpass", f">{password}")
    sentinel.settings["requirepass"] = password


@pytest.mark.parametrize("password", ["hunter3", None])
def test_password_that_every_sentinel_rejects_has_its_own_error(
    start_service: StartService, locked: dev.sentinel.Sentinels, password: str | None
) -> None:
    service = start_service(
        REDIS_URL="redis://:p%40ss@of.no.account/0",
        REDIS_SENTINELS=locked.url,
        **({"REDIS_SENTINEL_PASSWORD": password} if password else {}),
    )
    service.until_error("redis.sentinel", "AuthenticationFailed")
    assert check(service)["sentinel-1"] == "AUTH: AuthenticationError"


def test_password_that_one_sentinel_rejects_has_its_error_at_once_if_all_do(
    start_service: StartService, locked: dev.sentinel.Sentinels
) -> None:
    service = start_service(
        REDIS_URL="redis://:p%40ss@of.no.account/0",
        REDIS_SENTINELS=locked.url,
        REDIS_SENTINEL_PASSWORD="hunter2",
        HEALTH_CHECK_INTERVAL=0.2,
        HEALTH_REDIS_SENTINEL_FAILURE_THRESHOLD=1000,  # only permanent failures fail
    )
    service.until_ready()
    first, *others = locked.sentinels
    try:
        change_password(first, "hunter3")
        wait_until(lambda: check(service)["status"] == "warn")
        assert check(service)["sentinel-1"] == "AUTH: AuthenticationError"
        for sentinel in others:
            change_password(sentinel, "hunter3")
        wait_until(lambda: check(service)["error"])
        service.until_error("redis.sentinel", "AuthenticationFailed")
    finally:
        for sentinel in locked.sentinels:
            change_password(sentinel, "hunter2")
    service.until_status("pass")
    assert "hunter" not in service.management.get("/health").text
