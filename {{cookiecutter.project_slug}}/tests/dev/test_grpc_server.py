"""The embedded downstream service: a real gRPC server whose health can be set."""

from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from dev.grpc import SERVICE, Downstream
from dev.process import StartError


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    with Downstream(tmp_path_factory.mktemp("downstream")) as server:
        yield server


def health_of(downstream: Downstream, service: str = SERVICE) -> str:
    """Check on a new connection; return the status, or the code of a failed call."""
    with grpc.insecure_channel(
        downstream.address, options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            response = stub.Check(request, timeout=0.5)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def test_the_server_and_its_service_are_serving(downstream: Downstream) -> None:
    assert health_of(downstream, "") == "SERVING"
    assert health_of(downstream, SERVICE) == "SERVING"
    assert health_of(downstream, "reference.Other") == "NOT_FOUND"


@pytest.mark.parametrize(
    "status", ["NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN", "NOT_FOUND", "UNAUTHENTICATED"]
)
def test_a_status_is_reported_as_soon_as_it_is_set(downstream: Downstream, status: str) -> None:
    downstream.set_status(status)
    try:
        assert health_of(downstream) == status
        assert health_of(downstream, "") == "SERVING"
    finally:
        downstream.set_status("SERVING")


def test_a_restart_keeps_the_status(downstream: Downstream) -> None:
    downstream.set_status("NOT_SERVING")
    try:
        downstream.restart()
        assert health_of(downstream) == "NOT_SERVING"
    finally:
        downstream.set_status("SERVING")


def test_without_a_health_service_the_call_is_unimplemented(tmp_path: Path) -> None:
    with Downstream(tmp_path, settings={"health": "off"}) as downstream:
        assert health_of(downstream) == "UNIMPLEMENTED"


def test_clients_of_a_paused_server_wait_until_it_resumes(downstream: Downstream) -> None:
    downstream.pause()
    try:
        assert health_of(downstream) == "DEADLINE_EXCEEDED"
        assert not downstream.is_ready()
    finally:
        downstream.resume()
    assert health_of(downstream) == "SERVING"


def test_another_downstream_server_on_its_port_is_detected(
    downstream: Downstream, tmp_path: Path
) -> None:
    other = Downstream(tmp_path)
    other._port = downstream.port
    with pytest.raises(StartError, match=f"downstream cannot listen: .*{downstream.port}"):
        other.start()
