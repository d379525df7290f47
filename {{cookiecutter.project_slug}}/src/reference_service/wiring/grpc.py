"""Services that this one calls by gRPC: hand `grpc` to whatever calls them."""

from ..dependencies.grpc import Grpc, GrpcSettings
from . import Assembly, Wiring


def _call_services(service: Assembly, settings: GrpcSettings) -> None:
    service.resources.add(Grpc(settings))


WIRING = Wiring(GrpcSettings, _call_services)
