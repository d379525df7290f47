"""fastapi-health: the application writes the conditions, which use its own clients."""

from fastapi_health import health
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from .fastapi_app import app, cache, engine


async def is_database_online() -> bool:
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (OSError, SQLAlchemyError):
        return False
    return True


async def is_cache_online() -> bool:
    try:
        return bool(await cache.ping())
    except RedisError:
        return False


app.add_api_route("/health", health([is_database_online, is_cache_online]))
