"""The health checks that most services have, as a baseline for comparison.

`/healthz` always returns 200. `/readyz` pings each dependency with the usual call of its client
library, without a timeout.

    python -m faults.baseline PORT
"""

import os
import sys
from typing import Any

import asyncpg
import grpc
import uvicorn
from aiokafka.admin import AIOKafkaAdminClient
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

app = FastAPI()
engine = create_async_engine(
    "postgresql+asyncpg://",
    async_creator=lambda: asyncpg.connect(
        os.environ["DATABASE_URL"],
        server_settings={"application_name": "baseline"},
        statement_cache_size=0,  # for a pooler
    ),
)


def create_redis_client() -> Any:
    """Return a client. It uses Sentinel if sentinels are configured."""
    if not os.environ.get("REDIS_SENTINELS"):
        return Redis.from_url(os.environ["REDIS_URL"])
    nodes = [node.split(":") for node in os.environ["REDIS_SENTINELS"].split(",")]
    return Sentinel(nodes).master_for("mymaster")


redis = create_redis_client()
clients: dict[str, Any] = {}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Return 200 if the process can respond."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Ping each dependency."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await redis.ping()
    if "kafka" not in clients:
        admin = AIOKafkaAdminClient(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
        await admin.start()
        clients["kafka"] = admin
        target = os.environ["GRPC_TARGETS"].split("=")[1].split("/")[0]
        clients["grpc"] = grpc.aio.insecure_channel(target)
    await clients["kafka"].list_topics()
    await clients["grpc"].channel_ready()
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
