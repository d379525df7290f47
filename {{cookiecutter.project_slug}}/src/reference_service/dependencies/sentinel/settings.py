"""Settings of the sentinels."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Address = tuple[str, int]  # a host and a port

DEFAULT_PORT = 26379
ADDRESS = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?", re.ASCII)


def parse_addresses(text: str) -> list[Address]:
    """Return the addresses in a list like `a:26379,b`. Raises ValueError."""
    addresses = []
    for part in text.split(","):
        match = ADDRESS.fullmatch(part.strip())
        port = int(match[2] or DEFAULT_PORT) if match else 0
        if not match or not 0 < port < 1 << 16:
            raise ValueError("not the addresses of sentinels")
        addresses.append((match[1].strip("[]"), port))
    return list(dict.fromkeys(addresses))


def _require_addresses(text: str) -> str:
    if text:
        parse_addresses(text)
    return text


class SentinelSettings(BaseSettings):
    """The sentinels that know the address of the Redis primary."""

    model_config = SettingsConfigDict(env_prefix="REDIS_", use_attribute_docstrings=True)

    sentinels: Annotated[str, AfterValidator(_require_addresses)] = ""
    """Addresses of all sentinels, as host:port,host:port; they provide the address of Redis, so
    REDIS_URL sets only the credentials and can be omitted."""
    sentinel_master: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "mymaster"
    """Name under which the sentinels monitor the primary."""
    sentinel_username: str | None = None
    """User of the sentinels. Default: their default user."""
    sentinel_password: SecretStr | None = None
    """Password of the sentinels."""
    sentinel_tls: bool = False
    """Whether to connect to the sentinels with TLS. For the primary, REDIS_URL=rediss://… says it.
    """
    sentinel_tls_ca_file: str | None = None
    """File with the certificates of the authorities that sign those of the sentinels, in PEM
    format. Default: the authorities that the system trusts."""
    sentinel_tls_cert_file: str | None = None
    """File with the certificate of this client, for mutual TLS, in PEM format."""
    sentinel_tls_key_file: str | None = None
    """File with the key of this certificate. Default: the same file."""
    sentinel_strict: bool = False
    """Whether the check fails, and does not only warn, if one sentinel is down."""
