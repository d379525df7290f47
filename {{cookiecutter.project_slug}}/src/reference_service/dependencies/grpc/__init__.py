"""gRPC services that this service calls: settings, client and health checks.

grpc = Grpc(settings)
stub = OrdersStub(grpc.channel("orders"))
"""

from .client import Grpc
from .settings import GrpcSettings

__all__ = ["Grpc", "GrpcSettings"]
