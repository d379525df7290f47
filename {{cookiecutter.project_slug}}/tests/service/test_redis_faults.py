"""Failures of Redis, which is a cache here: what requests get, and what the probes report."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from dev.valkey import Valkey

from ..conftest import StartService
from ..domain import CHANGE, NEW, PATH
from ..processes import Service

DETECTION = 5 + 3 * 0.5 + 0.3
DETECTION_UNDER_TRAFFIC = 1 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5
QUICK = 0.1 + 0.4
"""Maximum seconds, on a busy machine, of a request that waits for the cache at most once."""


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that the tests break. Each test repairs it."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def start(start_service: StartService, server: Valkey, **settings: object) -> Service:
    """Start the service with a server, and return it when every check passes."""
    settings = {"REDIS_URL": server.url, **settings}
    running = start_service(
        REDIS_SENTINELS="",  # feature: sentinel
        **settings,
    )
    running.until_status("pass")
    return running


def use(service: Service) -> None:
    """Create, read, change, read, list and delete an item. Each request must succeed quickly."""

    def send(method: str, path: str, body: object = None) -> dict[str, object]:
        started = time.monotonic()
        response = service.api.request(method, path, json=body)
        assert response.is_success, response.text
        assert time.monotonic() - started < QUICK
        return dict(response.json()) if response.content else {}

    item = send("POST", PATH, NEW)
    path = f"{PATH}/{item['id']}"
    assert send("GET", path) == item
    changed = send("PATCH", path, CHANGE)
    assert changed["name"] != item["name"]
    assert send("GET", path) == changed
    send("GET", PATH)
    send("DELETE", path)


class Outage(NamedTuple):
    inject: Callable[[Valkey], object]
    repair: Callable[[Valkey], object]
    error: str


OUTAGES = {
    "frozen": Outage(Valkey.pause, Valkey.resume, "TimeoutError"),
    "stopped": Outage(Valkey.stop, Valkey.start, "ConnectionError"),
    "full": Outage(
        lambda valkey: valkey.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda valkey: valkey.ask("CONFIG", "SET", "maxmemory", "0"),
        "OutOfMemoryError",
    ),
}


def assert_warns_while_requests_succeed(service: Service, valkey: Valkey, outage: Outage) -> None:
    use(service)
    outage.inject(valkey)
    try:
        assert service.until_status("warn") <= DETECTION + SLACK
        service.until_error("redis", outage.error)
        for _ in range(3):
            use(service)
        assert {service.probe(name) for name in ("startup", "ready", "live")} == {200}
    finally:
        outage.repair(valkey)
    service.until_status("pass", within=6 + SLACK)
    use(service)


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_outage_warns_in_time_and_requests_succeed(
    start_service: StartService, valkey: Valkey, outage: Outage
) -> None:
    assert_warns_while_requests_succeed(start(start_service, valkey), valkey, outage)


def test_command_that_fails_in_a_request_brings_the_check_forward(
    start_service: StartService, valkey: Valkey
) -> None:
    service = start(start_service, valkey, HEALTH_CHECK_INTERVAL=60)
    valkey.pause()
    try:
        use(service)
        assert service.until_status("warn") <= DETECTION_UNDER_TRAFFIC + SLACK
    finally:
        valkey.resume()
    assert service.until_status("pass") <= RECOVERY + SLACK


def test_impact_has_its_reason(start_service: StartService, valkey: Valkey) -> None:
    report = start(start_service, valkey).check("redis")
    assert (report["impact"], report["impactReason"]) == (
        "warn",
        "without the cache, items are read from the database",
    )
