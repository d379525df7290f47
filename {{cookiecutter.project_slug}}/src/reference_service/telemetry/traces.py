"""Sends what requests did, and what they waited for, to a collector."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class TraceSettings(BaseSettings):
    """x."""

    model_config = SettingsConfigDict(env_prefix="OTEL_")
