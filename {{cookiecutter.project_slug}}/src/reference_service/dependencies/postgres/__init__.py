"""PostgreSQL: settings, client, health checks, and what the tables of every domain share.

postgres = Postgres(settings)
async with postgres.engine.begin() as connection: ...
"""

from .client import Postgres
from .settings import PostgresSettings
from .tables import METADATA

__all__ = ["METADATA", "Postgres", "PostgresSettings"]
