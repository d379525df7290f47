"""The stock of an item, which another service knows: a route that makes a gRPC call."""

from uuid import UUID

from fastapi import APIRouter
from google.protobuf import wrappers_pb2 as wrappers  # type: ignore[import-untyped]
from pydantic import BaseModel, Field

from ..dependencies.grpc import Grpc

WITHOUT_GRPC = "only the route that reads the stock needs it; other requests succeed"
METHOD = "/reference.Stock/Count"
Id, Quantity = wrappers.StringValue, wrappers.UInt32Value  # what it takes, and what it returns
DEADLINE = 0.8  # seconds that the call may take; to connect may take one, which would hide it


class Stock(BaseModel):
    """How many there are."""

    quantity: int = Field(ge=0, examples=[12])


def stock_router(grpc: Grpc) -> APIRouter:
    """Return the route that asks the first service of `GRPC_TARGETS`."""
    router = APIRouter(prefix="/items", tags=["items"])

    @router.get("/{item_id}/stock", response_description="The stock at this moment.")
    async def read_stock(item_id: UUID) -> Stock:
        """Read how many there are of an item. Another service counts them.

        If that service is unavailable, the response is 503. If it responds too late, it is 504.
        """
        channel = grpc.channel(grpc.names[0])
        # For a protocol of your own, use the stub that its compiler generates.
        count = channel.unary_unary(METHOD, Id.SerializeToString, Quantity.FromString)
        reply = await count(Id(value=str(item_id)), timeout=DEADLINE)
        return Stock(quantity=reply.value)

    return router
