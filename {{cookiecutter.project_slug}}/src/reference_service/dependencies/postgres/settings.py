"""Settings of the database and its connection pool."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _require_postgres_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        message = "not the URL of a PostgreSQL server"
        raise ValueError(message)
    return url


class PostgresSettings(BaseSettings):
    """The database to connect to and how many connections to hold. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: Annotated[SecretStr, AfterValidator(_require_postgres_url)] = Field(
        description="URL of the PostgreSQL database, as postgresql://user:password@host:port/name."
    )
    pool_size: int = Field(
        # Each connection is opened when it is first needed. Connections beyond this number are
        # closed after one request. Opening one costs more than the request itself, so a busy
        # service with too small a pool mostly opens connections.
        15,
        gt=0,
        description="Maximum connections that stay open for requests.",
    )
    max_overflow: int = Field(
        0,
        ge=0,
        description="Maximum extra connections beyond the pool size, each closed after one "
        "request.",
    )
    pool_timeout: float = Field(
        5.0,
        gt=0,
        description="Seconds that a request waits for a connection before the response is 503.",
    )
    connect_timeout: float = Field(5.0, gt=0, description="Maximum seconds to open a connection.")
    role: Literal["primary", "standby"] = Field(
        "primary",
        description="Role that the server must have: primary to read and write, standby to read.",
    )
    max_lag: float = Field(
        5.0, gt=0, description="Maximum seconds that a standby may be behind its primary."
    )
