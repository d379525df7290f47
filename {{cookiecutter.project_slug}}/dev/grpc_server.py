"""A gRPC server with the health that a file gives it, until SIGTERM. `dev.grpc` runs it.

    python -P grpc_server.py HOST:PORT FOLDER [--health=off]

FOLDER/statuses.json maps the names of services to words, see `dev.grpc`, and is read at each call;
FOLDER/pid tells who has the port.
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
    """Serve until SIGTERM. Raises RuntimeError when the port is taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # before there are other threads
    exclusive = ("grpc.so_reuseport", 0)  # else it would share a port that is taken
    server = grpc.server(ThreadPoolExecutor(4), options=[exclusive])
    server.add_insecure_port(address)
    if with_health:
        server.add_generic_rpc_handlers([health_service(folder / "statuses.json")])
    server.start()
    (folder / "pid").write_text(str(os.getpid()))
    signal.sigwait([signal.SIGTERM])
    server.stop(grace=0).wait()


def health_service(statuses: Path) -> grpc.GenericRpcHandler:
    """Return the health service; of its methods only `Check`, which is all that a prober asks."""
    words = dict(health_pb2.HealthCheckResponse.ServingStatus.items())

    def check(
        request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        status = json.loads(statuses.read_text()).get(request.service, "NOT_FOUND")
        if status in words:
            return health_pb2.HealthCheckResponse(status=words[status])
        return context.abort(grpc.StatusCode[status], "as it was told to")

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
