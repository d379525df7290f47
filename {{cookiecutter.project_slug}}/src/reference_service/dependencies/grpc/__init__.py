"""gRPC services: settings, client and health checks."""

from .client import Grpc, GrpcSettings

__all__ = ["Grpc", "GrpcSettings"]
