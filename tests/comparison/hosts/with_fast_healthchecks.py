"""fast-healthchecks, with its checks for PostgreSQL and Redis.

Each check has a timeout of 5 s by default. The one of the probe is off by default and set here,
because the Redis check would otherwise retry for longer.
"""

import os

from fast_healthchecks.checks.postgresql.asyncpg import PostgreSQLAsyncPGHealthCheck
from fast_healthchecks.checks.redis import RedisHealthCheck
from fast_healthchecks.integrations.base import Probe, build_probe_route_options
from fast_healthchecks.integrations.fastapi import HealthcheckRouter

from .fastapi_app import app

readiness = Probe(
    name="readiness",
    checks=[
        PostgreSQLAsyncPGHealthCheck.from_dsn(os.environ["DATABASE_URL"]),
        RedisHealthCheck.from_dsn(os.environ["REDIS_URL"]),
    ],
)
app.include_router(HealthcheckRouter(readiness, options=build_probe_route_options(timeout=5)))
