"""What most services have: a `/healthz` that checks itself, and a `/readyz` that pings, without
a bound in time, by each library's ordinary call. Beside ours, so that a reader sees the difference.

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
environment = os.environ
engine = create_async_engine(
    "postgresql+asyncpg://",
    async_creator=lambda: asyncpg.connect(
        environment["DATABASE_URL"], server_settings={"application_name": "naive"}
    ),
)


def connect_to_redis() -> Any:
    """Return a client, through Sentinel where there is one."""
    if not environment.get("REDIS_SENTINELS"):
        return Redis.from_url(environment["REDIS_URL"])
    nodes = [node.split(":") for node in environment["REDIS_SENTINELS"].split(",")]
    return Sentinel(nodes).master_for("mymaster")


redis = connect_to_redis()
clients: dict[str, Any] = {}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that there is a process."""
    return {"status": "ok"}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Ping everything."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await redis.ping()
    if "kafka" not in clients:
        admin = AIOKafkaAdminClient(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"])
        await admin.start()
        clients["kafka"] = admin
        target = environment["GRPC_TARGETS"].split("=")[1].split("/")[0]
        clients["grpc"] = grpc.aio.insecure_channel(target)
    await clients["kafka"].list_topics()
    await clients["grpc"].channel_ready()
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
