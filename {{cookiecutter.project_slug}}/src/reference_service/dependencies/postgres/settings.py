"""Settings of the database and its connection pool."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from .url import parse_url

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _require_postgres_url(url: SecretStr) -> SecretStr:
    parse_url(url.get_secret_value())
    return url


class PostgresSettings(BaseSettings):
    """The database to connect to and how many connections to hold."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_", use_attribute_docstrings=True)

    url: Annotated[SecretStr, AfterValidator(_require_postgres_url)]
    """URL of the PostgreSQL database, as postgresql://user:password@host:port/name?parameters."""
    # Opening a connection costs more than the request itself. If the pool is too small, a busy
    # service mostly opens connections.
    pool_size: Annotated[int, Field(gt=0)] = 15
    """Maximum connections that stay open for requests."""
    max_overflow: Annotated[int, Field(ge=0)] = 0
    """Maximum extra connections beyond the pool size, each closed after one request."""
    pool_timeout: Seconds = 5.0
    """Seconds that a request waits for a connection before the response is 503."""
    connect_timeout: Seconds = 5.0
    """Maximum seconds to open a connection."""
    prepared_statements: bool = True
    """Whether connections keep prepared statements. Must be false behind a connection pooler such
    as PgBouncer in transaction mode."""
    role: Literal["primary", "standby"] = "primary"
    """Role that the server must have: primary to read and write, standby to read."""
    max_lag: Seconds = 5.0
    """Maximum seconds that a standby may be behind its primary."""
