"""A FastAPI application without health checks."""

import asyncio
import os

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

TIMEOUT = 5

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"),
    pool_size=5,
    max_overflow=0,
    pool_timeout=TIMEOUT,
    pool_pre_ping=True,
    connect_args={"timeout": TIMEOUT, "command_timeout": TIMEOUT},
)
cache = Redis.from_url(
    os.environ["REDIS_URL"],
    socket_timeout=TIMEOUT,
    socket_connect_timeout=TIMEOUT,
    retry=Retry(NoBackoff(), 0),
)
app = FastAPI()


@app.get("/hello")
async def hello() -> str:
    return "hello"


@app.post("/items")
async def create_item() -> str:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO items VALUES ('Lamp')"))
    await cache.set("item", "Lamp")
    return "created"


@app.get("/tasks")
async def tasks() -> int:
    return len(asyncio.all_tasks())
