"""Failures of a gRPC service: what requests get, and what the probes report meanwhile."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.grpc import Downstream

from ..conftest import StartService
from ..domain import CHANGE, NEW, PATH
from ..processes import Service, has_port, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5
DEADLINE = 0.8
"""Seconds that a request may wait for the service."""
QUICK = 0.5
"""Maximum seconds, on a busy machine, of a request that does not wait for it."""

ERRORS = {
    "NOT_SERVING": "NotServing",
    "UNKNOWN": "StatusUnknown",
    "SERVICE_UNKNOWN": "ServiceUnknown",
    "NOT_FOUND": "NotRegistered",
    "UNIMPLEMENTED": "NoHealthService",
    "UNAUTHENTICATED": "PermissionDenied",
    "PERMISSION_DENIED": "PermissionDenied",
    "UNAVAILABLE": "ConnectionError",
    "DEADLINE_EXCEEDED": "TimeoutError",
    "RESOURCE_EXHAUSTED": "UnexpectedStatus",
}

DOWN = {"NOT_SERVING", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
"""The others say nothing about calls."""


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    """A server that the tests break. Each test repairs it."""
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@pytest.fixture
def service(start_service: StartService, downstream: Downstream) -> Service:
    """The service with that server, ready."""
    running = start_service(GRPC_TARGETS=downstream.url)
    running.until_status("pass")
    return running


@pytest.fixture
def fast(start_service: StartService, downstream: Downstream) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    running = start_service(GRPC_TARGETS=downstream.url, HEALTH_CHECK_INTERVAL=0.2)
    running.until_status("pass")
    return running


def error(service: Service) -> str:
    return str(service.check("grpc.downstream")["error"])


def use(service: Service, stock: int = 200, within: float = QUICK) -> None:
    """Send each kind of request. All must succeed quickly, except the one for the stock."""

    def send(method: str, path: str, body: object = None) -> tuple[int, float]:
        started = time.monotonic()
        status = service.api.request(method, path, json=body).status_code
        return status, time.monotonic() - started

    path = service.api.post(PATH, json=NEW).headers["location"]
    for method, body in ("GET", None), ("PATCH", CHANGE), ("DELETE", None):
        status, took = send(method, path, body)
        assert status in {200, 204}
        assert took < QUICK
    status, took = send("GET", f"{path}/stock")
    assert status == stock
    assert took < within


def test_frozen_service_warns_and_only_the_stock_is_rejected_at_once(
    service: Service, downstream: Downstream
) -> None:
    use(service)
    downstream.pause()
    try:
        use(service, stock=504, within=DEADLINE + QUICK)
        assert service.until_status("warn") <= DETECTION + SLACK
        use(service, stock=503)
        assert {service.probe(name) for name in ("startup", "ready", "live")} == {200}
        assert error(service) == "TimeoutError"
    finally:
        downstream.resume()
    assert service.until_status("pass") <= RECOVERY + SLACK
    use(service)


def test_killed_service_warns_and_only_the_stock_is_503(
    service: Service, downstream: Downstream
) -> None:
    use(service)
    downstream.kill()
    try:
        assert service.until_status("warn") <= DETECTION + SLACK
        use(service, stock=503)
        assert {service.probe(name) for name in ("startup", "ready", "live")} == {200}
        assert error(service) == "ConnectionError"
        wait_until(lambda: service.check("grpc.downstream")["consecutiveFailures"] >= 10)
        page = service.management.get("/health").text
        assert "127.0.0.1" not in page
        assert not has_port(page, downstream.port)
    finally:
        downstream.start()
    assert service.until_status("pass") <= RECOVERY + SLACK
    use(service)


def test_call_that_fails_brings_the_check_forward(
    start_service: StartService, downstream: Downstream
) -> None:
    service = start_service(GRPC_TARGETS=downstream.url, HEALTH_CHECK_INTERVAL=60)
    service.until_status("pass")
    downstream.kill()
    try:
        use(service, stock=503)
        assert service.until_status("warn") <= 1 + 3 * 0.5 + 0.3 + SLACK
    finally:
        downstream.start()
    service.until_status("pass")


def test_service_that_is_away_at_the_start_delays_no_start(
    start_service: StartService, downstream: Downstream
) -> None:
    downstream.kill()
    try:
        service = start_service(GRPC_TARGETS=downstream.url)
        service.until_status("warn")
        assert service.probe("startup") == 200
        use(service, stock=503)
    finally:
        downstream.start()
    assert service.until_status("pass") <= RECOVERY + SLACK


def test_impact_has_its_reason(service: Service) -> None:
    report = service.check("grpc.downstream")
    assert report["impact"] == "warn"
    assert report["impactReason"].startswith("only the route that reads the stock")


def test_each_status_except_serving_has_its_own_error(
    fast: Service, downstream: Downstream
) -> None:
    try:
        for status, name in ERRORS.items():
            downstream.set_status(status)
            wait_until(lambda: error(fast) == name)  # noqa: B023 - it is called at once
            fast.until_status("warn")
            use(fast, stock=503 if status in DOWN else 200)
    finally:
        downstream.set_status("SERVING")
    fast.until_status("pass")
    assert fast.check("grpc.downstream")["observedValue"] == {"service": "reference.Downstream"}


def test_server_without_health_service_fails_at_once(
    start_service: StartService, tmp_path: Path
) -> None:
    with Downstream(tmp_path / "downstream", settings={"health": "off"}) as server:
        service = start_service(GRPC_TARGETS=server.url)
        wait_until(lambda: error(service) == "NoHealthService")
        assert service.check("grpc.downstream")["consecutiveFailures"] == 1
        service.until_status("warn")
        use(service)


def test_failing_service_with_impact_fail_takes_the_service_out_of_rotation(
    start_service: StartService, downstream: Downstream
) -> None:
    targets = f"whole={downstream.address},{downstream.url},extra-1={downstream.address}/extra"
    service = start_service(GRPC_TARGETS=targets, HEALTH_GRPC_EXTRA_1_IMPACT="fail")
    service.until_ready(503)
    wait_until(lambda: service.check("grpc.whole")["status"] == "pass")
    service.until_error("grpc.extra-1", "NotRegistered")
    assert service.check("grpc.downstream")["impact"] == "warn"


def open_files(service: Service) -> int:
    """Return how many files and connections are open, or 0 on systems without /proc."""
    folder = Path(f"/proc/{service.process.pids[0]}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_frozen_service_needs_few_connections_and_does_not_delay_shutdown(
    fast: Service, downstream: Downstream
) -> None:
    tasks, files = fast.tasks(), open_files(fast)
    downstream.pause()
    try:
        wait_until(lambda: fast.check("grpc.downstream")["consecutiveFailures"] >= 8)
        wait_until(lambda: fast.tasks() <= tasks + 3)  # attempts of other checks come and go
        assert open_files(fast) <= files + 3
        fast.signal(signal.SIGTERM)
        assert fast.ends_with(within=10) == 0
    finally:
        downstream.resume()
    lines = fast.log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
