"""svcs: each registered service has a ping, and a route of the application calls all of them."""

from collections.abc import AsyncIterator

import svcs
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .fastapi_app import app, cache, engine


async def ping_database(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))


async def ping_cache(client: Redis) -> None:
    await client.ping()


@svcs.fastapi.lifespan
async def lifespan(_: FastAPI, registry: svcs.Registry) -> AsyncIterator[dict[str, object]]:
    registry.register_factory(AsyncConnection, engine.connect, ping=ping_database)
    registry.register_value(Redis, cache, ping=ping_cache)
    yield {}


router = APIRouter(lifespan=lifespan)


@router.get("/healthy")
async def healthy(services: svcs.fastapi.DepContainer) -> JSONResponse:
    failures = {}
    for service in services.get_pings():
        try:
            await service.aping()
        except Exception as error:
            failures[service.name] = repr(error)
    return JSONResponse(failures, 500 if failures else 200)


app.include_router(router)
