"""gRPC services that this service calls: settings, client and health checks.

grpc = Grpc(settings)
orders = OrdersStub(grpc.channel("orders"))
"""

from .client import Grpc as Grpc
from .settings import GrpcSettings as GrpcSettings
