"""PostgreSQL: settings, client and health checks."""

from .client import Postgres, PostgresSettings

__all__ = ["Postgres", "PostgresSettings"]
