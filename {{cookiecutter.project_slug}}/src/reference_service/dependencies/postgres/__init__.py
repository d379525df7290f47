"""PostgreSQL: settings, client, health checks, and the metadata of every domain's tables.

Use `async with postgres.engine.begin() as connection: ...`. The engine belongs to SQLAlchemy.
"""

from .client import Postgres as Postgres
from .settings import PostgresSettings as PostgresSettings
from .tables import METADATA as METADATA
