"""A service that is called by gRPC, broken by hand, and what the probes say meanwhile."""

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

FAULTS = {
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
    """A server that the tests here break; each mends what it broke."""
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


@pytest.fixture
def service(start_service: StartService, downstream: Downstream) -> Service:
    """The service on that server, ready."""
    running = start_service(GRPC_TARGETS=downstream.url)
    running.until_ready()
    return running


@pytest.fixture
def eager(start_service: StartService, downstream: Downstream) -> Service:
    """The same, with checks that hardly wait, for tests that are not about the bounds."""
    running = start_service(GRPC_TARGETS=downstream.url, HEALTH_CHECK_INTERVAL=0.2)
    running.until_ready()
    return running


def fault(service: Service) -> str:
    return str(service.check("grpc.downstream")["error"])


def test_a_frozen_service_is_answered_504_and_back_within_the_bounds(
    service: Service, downstream: Downstream
) -> None:
    downstream.pause()
    try:
        assert service.until_ready(504) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert fault(service) == "TimeoutError"
    finally:
        downstream.resume()
    assert service.until_ready() <= RECOVERY + SLACK


def test_a_killed_service_is_answered_503_and_back_within_the_bounds(
    service: Service, downstream: Downstream
) -> None:
    downstream.kill()
    try:
        assert service.until_ready(503) <= DETECTION + SLACK
        assert service.probe("live") == 200
        assert fault(service) == "ConnectionError"
        wait_until(lambda: service.check("grpc.downstream")["consecutiveFailures"] >= 10)
        told = service.management.get("/health").text
        assert "127.0.0.1" not in told
        assert not has_port(told, downstream.port)
    finally:
        downstream.start()
    assert service.until_ready() <= RECOVERY + SLACK


def test_every_status_but_serving_is_told_apart_and_not_ready(
    eager: Service, downstream: Downstream
) -> None:
    try:
        for status, name in FAULTS.items():
            downstream.set_status(status)
            wait_until(lambda: fault(eager) == name)  # noqa: B023 - it is awaited here
            eager.until_ready(504 if name == "TimeoutError" else 503)
    finally:
        downstream.set_status("SERVING")
    eager.until_ready()
    assert eager.check("grpc.downstream")["observedValue"] == {"service": "reference.Downstream"}


def test_a_server_without_a_health_service_fails_at_once(
    start_service: StartService, tmp_path: Path
) -> None:
    with Downstream(tmp_path / "mute", settings={"health": "off"}) as mute:
        service = start_service(GRPC_TARGETS=mute.url)
        wait_until(lambda: fault(service) == "NoHealthService")
        assert service.check("grpc.downstream")["consecutiveFailures"] == 1
        assert service.probe("ready") == 503


def test_a_service_that_can_be_done_without_only_warns(
    start_service: StartService, downstream: Downstream
) -> None:
    targets = f"whole={downstream.address},{downstream.url},extra-1={downstream.address}/extra"
    service = start_service(GRPC_TARGETS=targets, HEALTH_GRPC_EXTRA_1_IMPACT="warn")
    service.until_ready()
    assert service.api.get("/health/ready").json() == {"status": "warn"}
    assert service.check("grpc.extra-1")["error"] == "NotRegistered"
    assert service.check("grpc.whole")["status"] == "pass"


def open_files(service: Service) -> int:
    """Return how many files and connections it has open; 0 where the system does not tell."""
    folder = Path(f"/proc/{service.process.pids[0]}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_frozen_service_costs_a_connection_or_two_and_does_not_hold_up_the_end(
    eager: Service, downstream: Downstream
) -> None:
    tasks, files = eager.tasks(), open_files(eager)
    downstream.pause()
    try:
        wait_until(lambda: eager.check("grpc.downstream")["consecutiveFailures"] >= 8)
        assert eager.tasks() <= tasks + 3
        assert open_files(eager) <= files + 3
        eager.signal(signal.SIGTERM)
        assert eager.ends_with(within=10) == 0
    finally:
        downstream.resume()
    strays = [line for line in eager.log.read_text().splitlines() if not line.startswith("{")]
    assert strays == []
