"""A gRPC server that counts stock, and whose health is defined by a file.

`dev.grpc` runs it until SIGTERM.

    python -P grpc_server.py HOST:PORT FOLDER [--health=off] [--cert=FILE --key=FILE]

FOLDER/statuses.json maps service names to statuses, see `dev.grpc`. Each call reads it again. A
service that is not serving rejects its calls too.
FOLDER/pid contains the id of the process that has the port. With --cert and --key it speaks TLS,
and with --clients=FILE it accepts only clients whose certificate an authority in it has signed.
"""

import argparse
import json
import os
import signal
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from google.protobuf import wrappers_pb2 as wrappers  # type: ignore[import-untyped]
from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]

SERVICE = "reference.Downstream"  # as `dev.grpc` calls it
REJECTS_CALLS = {"NOT_SERVING", "UNAVAILABLE"}  # the statuses in which it serves nothing


def serve(
    address: str, folder: Path, credentials: grpc.ServerCredentials | None, *, with_health: bool
) -> None:
    """Serve until SIGTERM. Raises RuntimeError if the port is in use."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # before other threads start
    exclusive = ("grpc.so_reuseport", 0)  # otherwise it shares a port that is in use
    server = grpc.server(ThreadPoolExecutor(4), options=[exclusive])
    if credentials:
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    statuses = folder / "statuses.json"
    server.add_generic_rpc_handlers([stock_service(statuses)])
    if with_health:
        server.add_generic_rpc_handlers([health_service(statuses)])
    server.start()
    (folder / "pid").write_text(str(os.getpid()))
    signal.sigwait([signal.SIGTERM])
    server.stop(grace=0).wait()


def tls_credentials(cert: Path, key: Path, clients: Path | None) -> grpc.ServerCredentials:
    """Return what the server needs for TLS, from files in PEM format."""
    authorities = clients.read_bytes() if clients else None
    pairs = [(key.read_bytes(), cert.read_bytes())]
    return grpc.ssl_server_credentials(pairs, authorities, authorities is not None)


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


def stock_service(statuses: Path) -> grpc.GenericRpcHandler:
    """Return a service that counts the stock of an id: always the same number for the same id."""

    def count(request: wrappers.StringValue, context: grpc.ServicerContext) -> wrappers.UInt32Value:
        status = json.loads(statuses.read_text()).get(SERVICE)
        if status in REJECTS_CALLS:
            context.abort(grpc.StatusCode.UNAVAILABLE, "set by dev.grpc")
        return wrappers.UInt32Value(value=zlib.crc32(request.value.encode()) % 100)

    handler = grpc.unary_unary_rpc_method_handler(
        count, wrappers.StringValue.FromString, wrappers.UInt32Value.SerializeToString
    )
    return grpc.method_handlers_generic_handler("reference.Stock", {"Count": handler})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--health", choices=["on", "off"], default="on")
    for name in ("--cert", "--key", "--clients"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    tls = tls_credentials(given.cert, given.key, given.clients) if given.cert else None
    serve(given.address, given.folder, tls, with_health=given.health == "on")
