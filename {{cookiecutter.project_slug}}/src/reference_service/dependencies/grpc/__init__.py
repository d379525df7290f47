"""gRPC services that this service calls: settings, client and health checks.

    grpc = Grpc(settings)
    orders = OrdersStub(grpc.channel("orders"))

The settings name each service and its address.
"""

from .client import Grpc
from .settings import GrpcSettings

__all__ = ["Grpc", "GrpcSettings"]
