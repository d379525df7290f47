"""A group under sentinels broken by hand, and what the probes and requests see of it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

import dev.sentinel
import dev.sentinel_nodes

from reference_service.dependencies.sentinel.client import (
    Sentinel,
    SentinelSettings,
)
from reference_service.dependencies.sentinel.nodes import TIMEOUT
from reference_service.health import CheckFailed

from ..conftest import StartService
from ..processes import Service, wait_until


def hurry(group: dev.sentinel.Sentinels) -> None:
    """Have sentinels look every half second, not every ten, how the data nodes see themselves."""
    for sentinel in group.sentinels:
        sentinel.ask("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")


@pytest.fixture(scope="module")
def running_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.sentinel.Sentinels]:
    with dev.sentinel.Sentinels(tmp_path_factory.mktemp("sentinel")) as group:
        yield group


@pytest.fixture
def group(running_group: dev.sentinel.Sentinels) -> Iterator[dev.sentinel.Sentinels]:
    """A group that the tests here break; it is whole again before the next."""
    hurry(running_group)
    yield running_group
    hurry(running_group)
    wait_until(running_group.answers)


@pytest.fixture
def service(start_service: StartService, group: dev.sentinel.Sentinels) -> Service:
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
def lost(how: str, *members: dev.sentinel_nodes.Member) -> Iterator[None]:
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


def resource(group: dev.sentinel.Sentinels) -> Sentinel:
    """Return what the service has of the group."""
    settings = SentinelSettings.model_construct(
        sentinels=group.url,
        sentinel_master="mymaster",
        sentinel_password=None,
        sentinel_strict=False,
    )
    return Sentinel(settings, "redis://")


def told_of(service: Service) -> dict[str, Any]:
    """Return what is told of the check, its data beside the rest."""
    told = service.check("redis.sentinel")
    return {**told, **told["observedValue"]}


def test_a_whole_group_passes_and_each_sentinel_is_told_of_without_its_address(
    service: Service, group: dev.sentinel.Sentinels
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
    service: Service, group: dev.sentinel.Sentinels, how: str
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
    service: Service, group: dev.sentinel.Sentinels, how: str
) -> None:
    with Steady(service) as steady, lost(how, *group.sentinels[:2]):
        service.until_ready({"frozen": 504, "killed": 503}[how])
        error = {"frozen": "QuorumTimeout", "killed": "QuorumLost"}[how]
        assert told_of(service)["error"] == error
        assert service.check("redis")["status"] == "pass"
    service.until_ready()
    assert steady.codes == {200}


def test_a_frozen_sentinel_piles_up_nothing(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    with Steady(service) as steady, lost("frozen", group.sentinels[0]):
        wait_until(lambda: told_of(service)["status"] == "warn")
        tasks, attempts = service.tasks(), told_of(service)["attempts"]
        wait_until(lambda: told_of(service)["attempts"] > attempts + 5)
        assert service.tasks() <= tasks + 5
    assert steady.codes == {200}


async def test_a_crowd_asks_each_sentinel_once_and_does_not_wait_for_a_frozen_one(
    group: dev.sentinel.Sentinels,
) -> None:
    sentinel = resource(group)

    def asked() -> int:
        return int(group.sentinels[1].info("stats")["total_connections_received"])

    times = []
    with lost("frozen", group.sentinels[0]):
        before = asked()
        for _ in range(3):
            started = time.monotonic()
            found = await asyncio.gather(*(sentinel.discover_master("") for _ in range(200)))
            times.append(time.monotonic() - started)
            assert len(set(found)) == 1
        assert asked() - before < 30  # ours, and those of the other sentinels
    assert min(times) < TIMEOUT
    await sentinel.close()


def test_in_strict_mode_one_lost_sentinel_fails(
    start_service: StartService, group: dev.sentinel.Sentinels
) -> None:
    service = start_service(
        REDIS_SENTINELS=group.url, REDIS_SENTINEL_STRICT="true", HEALTH_CHECK_INTERVAL=0.2
    )
    service.until_ready()
    with lost("killed", group.sentinels[2]):
        service.until_ready(503)
        assert told_of(service)["error"] == "SentinelDown"
        assert told_of(service)["sentinel-3"] == "TCP: ConnectionError"
    service.until_ready()


@each_way
def test_a_lost_primary_fails_until_the_service_has_followed_the_failover(
    service: Service, group: dev.sentinel.Sentinels, how: str
) -> None:
    primary = group.current_primary()
    assert primary
    with Steady(service) as steady, lost(how, primary):
        wait_until(lambda: service.probe("ready") in {503, 504})
        assert told_of(service)["error"] in {"PrimaryTimeout", "PrimaryDown", "FailingOver"}
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
    group: dev.sentinel.Sentinels, how: str
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
    assert said[0] == {"frozen": "PrimaryTimeout", "killed": "PrimaryDown"}[how]
    assert "FailingOver" in said
    await sentinel.close()


def test_a_primary_that_was_made_a_replica_by_hand_is_not_taken_for_a_healthy_one(
    service: Service, group: dev.sentinel.Sentinels
) -> None:
    primary = group.current_primary()
    assert primary
    primary.ask("REPLICAOF", "127.0.0.1", "1")
    service.until_ready(503)
    assert service.check("redis")["error"] == "NotPrimary"
    service.until_ready()  # the sentinels have made another one the primary


def test_a_planned_failover_is_followed_and_never_seen_by_a_probe_or_request(
    service: Service, group: dev.sentinel.Sentinels
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
    service: Service, group: dev.sentinel.Sentinels
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


def test_a_master_that_the_sentinels_do_not_watch_is_named(
    start_service: StartService, group: dev.sentinel.Sentinels
) -> None:
    service = start_service(REDIS_SENTINELS=group.url, REDIS_SENTINEL_MASTER="other")
    wait_until(lambda: told_of(service)["error"] == "MasterUnknown")
    assert told_of(service)["sentinel-1"] == "watches no such primary"
    assert service.probe("startup") == 503


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.sentinel.Sentinels]:
    """A group with passwords: one of the data nodes, one of the sentinels."""
    folder = tmp_path_factory.mktemp("locked")
    with dev.sentinel.Sentinels(folder, password="p@ss", sentinel_password="hunter2") as group:
        yield group


def change_password(sentinel: dev.sentinel_nodes.Member, password: str) -> None:
    sentinel.ask("ACL", "SETUSER", "default", "resetpass", f">{password}")
    sentinel.settings["requirepass"] = password


@pytest.mark.parametrize("password", ["hunter3", None])
def test_a_password_that_every_sentinel_refuses_is_named_with_its_layer(
    start_service: StartService, locked: dev.sentinel.Sentinels, password: str | None
) -> None:
    service = start_service(
        REDIS_URL="redis://:p%40ss@of.no.account/0",
        REDIS_SENTINELS=locked.url,
        **({"REDIS_SENTINEL_PASSWORD": password} if password else {}),
    )
    wait_until(lambda: told_of(service)["error"] == "AuthenticationFailed")
    assert told_of(service)["sentinel-1"] == "AUTH: AuthenticationError"


def test_a_sentinel_that_refuses_the_password_warns_and_all_of_them_fail_at_once(
    start_service: StartService, locked: dev.sentinel.Sentinels
) -> None:
    service = start_service(
        REDIS_URL="redis://:p%40ss@of.no.account/0",
        REDIS_SENTINELS=locked.url,
        REDIS_SENTINEL_PASSWORD="hunter2",
        HEALTH_CHECK_INTERVAL=0.2,
        HEALTH_REDIS_SENTINEL_FAILURE_THRESHOLD=1000,  # only what is permanent fails
    )
    service.until_ready()
    first, *others = locked.sentinels
    try:
        change_password(first, "hunter3")
        wait_until(lambda: told_of(service)["status"] == "warn")
        assert told_of(service)["sentinel-1"] == "AUTH: AuthenticationError"
        for sentinel in others:
            change_password(sentinel, "hunter3")
        service.until_ready(503)
        assert told_of(service)["error"] == "AuthenticationFailed"
    finally:
        for sentinel in locked.sentinels:
            change_password(sentinel, "hunter2")
    service.until_ready()
    assert "hunter" not in service.management.get("/health").text
