"""This template's engine, with the checks of its pages for PostgreSQL and Redis.

`make copy` has put the folders `health` and `dependencies` beside it.
"""

import os

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .dependencies.postgres.check_connection import CheckConnection
from .dependencies.postgres.checks import server_check, write_check
from .dependencies.redis import checks as redis
from .fastapi_app import app
from .health import Probes, Registry


async def connect(timeout: float) -> asyncpg.Connection:
    return await asyncpg.connect(os.environ["DATABASE_URL"], timeout=timeout)


reads, writes = CheckConnection(connect), CheckConnection(connect)
database_check = server_check(reads, role="primary")
commit_check = write_check(writes)
check_client = Redis.from_url(
    os.environ["REDIS_URL"], max_connections=1, retry=Retry(NoBackoff(), 0)
)
cache_check = redis.server_check(check_client, allow_replica=False)
registry = Registry([database_check, commit_check, cache_check])
app.add_middleware(Probes, registry=registry)
