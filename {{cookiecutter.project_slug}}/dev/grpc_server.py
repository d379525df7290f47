"""A gRPC server whose health is defined by a file. `dev.grpc` runs it until SIGTERM.

    python -P grpc_server.py HOST:PORT FOLDER [--health=off]

FOLDER/statuses.json maps service names to statuses, see `dev.grpc`. Each call reads it again.
FOLDER/pid contains the id of the process that has the port.
"""

import argparse
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]


def serve(address: str, folder: Path, *, with_health: bool) -> None:
    """Serve until SIGTERM. Raises RuntimeError if the port is in use."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # before other threads start
    exclusive = ("grpc.so_reuseport", 0)  # otherwise it shares a port that is in use
    server = grpc.server(ThreadPoolExecutor(4), options=[exclusive])
    server.add_insecure_port(address)
    if with_health:
        server.add_generic_rpc_handlers([health_service(folder / "statuses.json")])
    server.start()
    (folder / "pid").write_text(str(os.getpid()))
    signal.sigwait([signal.SIGTERM])
    server.stop(grace=0).wait()


def health_service(statuses: Path) -> grpc.GenericRpcHandler:
    """Return the health service with its method `Check`, the only one that a probe calls."""
    known = dict(health_pb2.HealthCheckResponse.ServingStatus.items())

    def check(
        request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        status = json.loads(statuses.read_text()).get(request.service, "NOT_FOUND")
        if status in known:
            return health_pb2.HealthCheckResponse(status=known[status])
        return context.abort(grpc.StatusCode[status], "set by dev.grpc")

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        health_pb2.HealthCheckRequest.FromString,
        health_pb2.HealthCheckResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": handler})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--health", choices=["on", "off"], default="on")
    arguments = parser.parse_args()
    serve(arguments.address, arguments.folder, with_health=arguments.health == "on")
