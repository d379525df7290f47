"""A group under sentinels broken by hand, and what the probes and requests see of it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

from dev.sentinel import Sentinels
from dev.sentinel_nodes import DataNode, Sentinel
from reference_service.health import CheckFailed
from reference_service.resources.sentinel import (
    Sentinel as SentinelResource,
)
from reference_service.resources.sentinel import (
    SentinelSettings,
)
from reference_service.resources.sentinel_nodes import TIMEOUT

from ..conftest import StartService
from ..processes import Service, wait_until


def hurry(group: Sentinels) -> None:
    """Have sentinels look every half second, not every ten, how the data nodes see themselves."""
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")


@pytest.fixture(scope="module")
def running_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with Sentinels(tmp_path_factory.mktemp("sentinel")) as group:
        yield group


@pytest.fixture
def group(running_group: Sentinels) -> Iterator[Sentinels]:
    """A group that the tests here break; it is whole again before the next."""
    hurry(running_group)
    yield running_group
    hurry(running_group)
    wait_until(running_group.answers)


@pytest.fixture
def service(start_service: StartService, group: Sentinels) -> Service:
    """The service on that group, with checks all the time, so that it misses nothing."""
    running = start_service(REDIS_SENTINELS=group.url, HEALTH_CHECK_INTERVAL=0.2)
    running.until_ready()
    return running


class Steady(threading.Thread):
    """Requests, and probes of liveness, one after the other until the end of the block."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.codes: set[int] = set()
        self.count = 0
        self._url = service.url
        self._over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as api:
            item = api.post("/items", json={"name": "lamp"}).json()["id"]
            while not self._over.wait(0.02):
                answers = [
                    api.get(f"/items/{item}"),
                    api.patch(f"/items/{item}", json={"name": f"lamp {self.count}"}),
                    api.get("/health/live"),
                ]
                self.codes |= {answer.status_code for answer in answers}
                self.count += 1

    def __enter__(self) -> Self:
        self.start()
        wait_until(lambda: self.count)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def lost(how: str, *members: Sentinel | DataNode) -> Iterator[None]:
    """Freeze or kill some members for as long as the block takes."""
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


def resource(group: Sentinels) -> SentinelResource:
    """Return what the service has of the group."""
    settings = SentinelSettings.model_construct(
        sentinels=group.url,
        sentinel_master="mymaster",
        sentinel_password=None,
        sentinel_strict=False,
    )
    return SentinelResource(settings, "redis://")


def told_of(service: Service) -> dict[str, Any]:
    """Return what is told of the check, its data beside the rest."""
    told = service.check("redis.sentinel")
    return {**told, **told["observedValue"]}


def test_a_whole_group_passes_and_each_sentinel_is_told_of_without_its_address(
    service: Service, group: Sentinels
) -> None:
    told = service.check("redis.sentinel")
    assert told["status"] == "pass"
    assert told["observedValue"] == {
        **dict.fromkeys(("sentinel-1", "sentinel-2", "sentinel-3"), "ok"),
        "primary": "ok",
        "failovers": 0,
    }
    assert service.check("redis")["observedValue"] == {"role": "primary", "replicas": 2}
    assert "127.0.0.1" not in service.management.get("/health").text


@each_way
def test_one_lost_sentinel_warns_by_name_and_layer_and_leaves_the_service_ready(
    service: Service, group: Sentinels, how: str
) -> None:
    with lost(how, group.sentinels[1]):
        wait_until(lambda: told_of(service)["status"] == "warn")
        answer = service.api.get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "warn"})
        told = told_of(service)
        where = {"frozen": "PING: TimeoutError", "killed": "TCP: ConnectionError"}[how]
        seen = [told[f"sentinel-{number}"] for number in (1, 2, 3)]
        assert seen == ["ok", where, "ok"]
        [record] = service.records(f"sentinel-2: {where}")
        assert record["address"] == ["127.0.0.1", group.sentinels[1].port]
    wait_until(lambda: told_of(service)["status"] == "pass")


@each_way
def test_two_lost_sentinels_fail_while_requests_go_on(
    service: Service, group: Sentinels, how: str
) -> None:
    with Steady(service) as steady, lost(how, *group.sentinels[:2]):
        service.until_ready({"frozen": 504, "killed": 503}[how])
        error = {"frozen": "QuorumSilent", "killed": "QuorumLost"}[how]
        assert told_of(service)["error"] == error
        assert service.check("redis")["status"] == "pass"
    service.until_ready()
    assert steady.codes == {200}


def test_a_frozen_sentinel_piles_up_nothing(service: Service, group: Sentinels) -> None:
    with Steady(service) as steady, lost("frozen", group.sentinels[0]):
        wait_until(lambda: told_of(service)["status"] == "warn")
        tasks, attempts = service.tasks(), told_of(service)["attempts"]
        wait_until(lambda: told_of(service)["attempts"] > attempts + 5)
        assert service.tasks() <= tasks + 5
    assert steady.codes == {200}


async def test_a_crowd_asks_each_sentinel_once_and_does_not_wait_for_a_frozen_one(
    group: Sentinels,
) -> None:
    sentinel = resource(group)

    def asked() -> int:
        return int(group.sentinels[1].info("stats")["total_connections_received"])

    with lost("frozen", group.sentinels[0]):
        before, started = asked(), time.monotonic()
        found = await asyncio.gather(*(sentinel.discover_master("") for _ in range(200)))
        assert time.monotonic() - started < TIMEOUT
        assert len(set(found)) == 1
        assert asked() - before < 20  # ours, and those of the other sentinels
    await sentinel.close()


def test_in_strict_mode_one_lost_sentinel_fails(
    start_service: StartService, group: Sentinels
) -> None:
    service = start_service(
        REDIS_SENTINELS=group.url, REDIS_SENTINEL_STRICT="true", HEALTH_CHECK_INTERVAL=0.2
    )
    service.until_ready()
    with lost("killed", group.sentinels[2]):
        service.until_ready(503)
        assert told_of(service)["error"] == "SentinelLost"
        assert told_of(service)["sentinel-3"] == "TCP: ConnectionError"
    service.until_ready()


@each_way
def test_a_lost_primary_fails_until_the_service_has_followed_the_failover(
    service: Service, group: Sentinels, how: str
) -> None:
    primary = group.current_primary()
    assert primary
    with Steady(service) as steady, lost(how, primary):
        wait_until(lambda: service.probe("ready") in {503, 504})
        assert told_of(service)["error"] in {"PrimarySilent", "PrimaryLost", "FailingOver"}
        service.until_ready()
        assert (told_of(service)["primary"], told_of(service)["failovers"]) == ("ok", 1)
        assert service.check("redis")["observedValue"]["role"] == "primary"
    assert steady.codes == {200}
    [record] = service.records("the primary has moved")
    now = group.current_primary()
    assert now
    assert (record["from"][1], record["to"][1]) == (primary.port, now.port)


@each_way
async def test_the_check_says_what_the_sentinels_do_about_a_lost_primary(
    group: Sentinels, how: str
) -> None:
    primary = group.current_primary()
    assert primary
    sentinel = resource(group)
    [check] = sentinel.checks()
    await check.run()
    said: list[str] = []
    with lost(how, primary):
        async with asyncio.timeout(30):
            while not said or said[-1] != "pass":
                try:
                    result = await check.run()
                    assert result
                    said.append(result.status if said else "still fine")
                except CheckFailed as fault:
                    said.append(type(fault).__name__)
                await asyncio.sleep(0.02)
    first = {"frozen": "PrimarySilent", "killed": "PrimaryLost"}[how]
    assert list(dict.fromkeys(said)) == [first, "FailingOver", "pass"]
    await sentinel.close()


def test_a_planned_failover_is_followed_and_never_seen_by_a_probe_or_request(
    service: Service, group: Sentinels
) -> None:
    codes = set()

    def ready() -> bool:
        codes.add(service.probe("ready"))
        return codes == {200}

    with Steady(service) as steady:
        group.failover()
        wait_until(lambda: not ready() or told_of(service)["failovers"])
        wait_until(lambda: not ready() or group.answers())
    assert codes | steady.codes == {200}
    wait_until(lambda: service.check("redis")["observedValue"]["replicas"] == 2)


def test_without_the_whole_group_requests_go_on_and_it_is_found_again(
    service: Service, group: Sentinels
) -> None:
    with Steady(service) as steady:
        group.kill()
        try:
            service.until_ready(503)
            wait_until(lambda: service.check("redis")["status"] == "fail")
        finally:
            group.start()
        service.until_ready()
    assert steady.codes == {200}


def test_a_master_of_another_name_fails_at_once(
    start_service: StartService, group: Sentinels
) -> None:
    service = start_service(
        REDIS_SENTINELS=group.url, REDIS_SENTINEL_MASTER="other", HEALTH_CHECK_INTERVAL=60
    )
    wait_until(lambda: told_of(service)["error"] == "MasterUnknown")
    assert told_of(service)["attempts"] == 1
    assert service.probe("startup") == 503


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    """A group with passwords: one of the data nodes, one of the sentinels."""
    folder = tmp_path_factory.mktemp("locked")
    with Sentinels(folder, password="p@ss", sentinel_password="hunter2") as group:
        yield group


def test_passwords_of_the_sentinels_and_of_the_data_nodes_are_two(
    start_service: StartService, locked: Sentinels
) -> None:
    login = {"REDIS_URL": "redis://:p%40ss@ignored/0", "REDIS_SENTINELS": locked.url}
    wrong = start_service(**login, REDIS_SENTINEL_PASSWORD="hunter3", HEALTH_CHECK_INTERVAL=60)
    none = start_service(**login, HEALTH_CHECK_INTERVAL=60)
    right = start_service(**login, REDIS_SENTINEL_PASSWORD="hunter2", HEALTH_CHECK_INTERVAL=0.2)
    right.until_ready()
    for service in (wrong, none):
        wait_until(lambda: told_of(service)["error"] == "PasswordRefused")  # noqa: B023
        assert told_of(service)["sentinel-1"] == "AUTH: AuthenticationError"
        assert (told_of(service)["status"], told_of(service)["attempts"]) == ("fail", 1)
    sentinel = locked.sentinels[0]
    sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">hunter3")
    try:
        wait_until(lambda: told_of(right)["status"] == "warn")
        assert told_of(right)["sentinel-1"] == "AUTH: AuthenticationError"
        assert right.probe("ready") == 200
    finally:
        sentinel.settings["requirepass"] = "hunter3"
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">hunter2")
        sentinel.settings["requirepass"] = "hunter2"
    wait_until(lambda: told_of(right)["status"] == "pass")
    assert "hunter" not in right.management.get("/health").text
