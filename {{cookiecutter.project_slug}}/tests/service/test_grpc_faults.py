"""Failures of a gRPC service, and what the probes report meanwhile."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.grpc import Downstream

from ..conftest import StartService
from ..processes import Service, has_port, wait_until

DETECTION = 5 + 3 * 0.5 + 0.3
RECOVERY = 2.0
SLACK = 1.5

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


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    """A server that the tests break. Each test repairs it."""
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@pytest.fixture
def service(start_service: StartService, downstream: Downstream) -> Service:
    """The service with that server, ready."""
    running = start_service(GRPC_TARGETS=downstream.url)
    running.until_ready()
    return running


@pytest.fixture
def fast(start_service: StartService, downstream: Downstream) -> Service:
    """The same with frequent checks, for tests that do not measure the detection time."""
    running = start_service(GRPC_TARGETS=downstream.url, HEALTH_CHECK_INTERVAL=0.2)
    running.until_ready()
    return running


def error(service: Service) -> str:
    return str(service.check("grpc.downstream")["error"])


def test_frozen_service_turns_ready_504_and_recovers_in_time(
    service: Service, downstream: Downstream
) -> None:
    downstream.pause()
    try:
        assert service.until_ready(504) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert error(service) == "TimeoutError"
    finally:
        downstream.resume()
    assert service.until_ready() <= RECOVERY + SLACK


def test_killed_service_turns_ready_503_and_recovers_in_time(
    service: Service, downstream: Downstream
) -> None:
    downstream.kill()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert error(service) == "ConnectionError"
        wait_until(lambda: service.check("grpc.downstream")["consecutiveFailures"] >= 10)
        page = service.management.get("/health").text
        assert "127.0.0.1" not in page
        assert not has_port(page, downstream.port)
    finally:
        downstream.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_each_status_except_serving_has_its_own_error(
    fast: Service, downstream: Downstream
) -> None:
    try:
        for status, name in ERRORS.items():
            downstream.set_status(status)
            wait_until(lambda: error(fast) == name)  # noqa: B023 - it is called at once
            fast.until_ready(504 if name == "TimeoutError" else 503)
    finally:
        downstream.set_status("SERVING")
    fast.until_ready()
    assert fast.check("grpc.downstream")["observedValue"] == {"service": "reference.Downstream"}


def test_server_without_health_service_fails_at_once(
    start_service: StartService, tmp_path: Path
) -> None:
    with Downstream(tmp_path / "downstream", settings={"health": "off"}) as server:
        service = start_service(GRPC_TARGETS=server.url)
        wait_until(lambda: error(service) == "NoHealthService")
        assert service.check("grpc.downstream")["consecutiveFailures"] == 1
        assert service.probe("ready") == 503


def test_failing_service_with_impact_warn_leaves_ready_200(
    start_service: StartService, downstream: Downstream
) -> None:
    targets = f"whole={downstream.address},{downstream.url},extra-1={downstream.address}/extra"
    service = start_service(GRPC_TARGETS=targets, HEALTH_GRPC_EXTRA_1_IMPACT="warn")
    service.until_ready()
    assert service.api.get("/health/ready").json() == {"status": "warn"}
    assert service.check("grpc.extra-1")["error"] == "NotRegistered"
    assert service.check("grpc.whole")["status"] == "pass"


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
        assert fast.tasks() <= tasks + 3
        assert open_files(fast) <= files + 3
        fast.signal(signal.SIGTERM)
        assert fast.ends_with(within=10) == 0
    finally:
        downstream.resume()
    lines = fast.log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
