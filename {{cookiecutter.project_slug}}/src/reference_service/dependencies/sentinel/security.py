"""How to connect to the sentinels: log-in and TLS, as options of redis-py's connections."""

from typing import Any

from pydantic import SecretStr
from redis.asyncio import Connection, SSLConnection
from redis.credentials import CredentialProvider

from ...environment import SettingsError
from ..certificates import Tls
from ..tls_files import create_context
from .settings import SentinelSettings


class Credentials(CredentialProvider):
    """User and password, read for each connection: a password in a file can change."""

    def __init__(self, username: str | None, password: SecretStr) -> None:
        self._username, self._password = username, password

    def get_credentials(self) -> Any:
        """Return what `AUTH` takes."""
        password = self._password.get_secret_value()
        return (self._username, password) if self._username else (password,)


def connection_options(settings: SentinelSettings) -> dict[str, Any]:
    """Return the options of every connection to a sentinel. Raises SettingsError."""
    secret = settings.sentinel_password
    if settings.sentinel_username and not secret:
        raise SettingsError(["REDIS_SENTINEL_USERNAME: set REDIS_SENTINEL_PASSWORD too."])
    options: dict[str, Any] = {}
    if secret:
        options["credential_provider"] = Credentials(settings.sentinel_username, secret)
    if not settings.sentinel_tls:
        return {"connection_class": Connection, **options}
    cert = settings.sentinel_tls_cert_file
    return {
        "connection_class": SSLConnection,
        "ssl_ca_certs": settings.sentinel_tls_ca_file,
        "ssl_certfile": cert,
        "ssl_keyfile": (settings.sentinel_tls_key_file or cert) if cert else None,
        **options,
    }


def create_tls(settings: SentinelSettings) -> Tls | None:
    """Return how to make a handshake with a sentinel, or None without TLS. Raises SettingsError."""
    cert = settings.sentinel_tls_cert_file
    files = settings.sentinel_tls_ca_file, cert, settings.sentinel_tls_key_file
    if settings.sentinel_tls:
        return Tls(create_context(_variable, *files), cert)
    for part, path in zip(("ca", "cert", "key"), files, strict=True):
        if path:
            needed = "it has no effect without REDIS_SENTINEL_TLS=true"
            raise SettingsError([f"{_variable(part)}: {needed}."])
    return None


def reject_unused(settings: SentinelSettings) -> None:
    """Raise SettingsError if a log-in or TLS is set, but no sentinel to use it for."""
    for field in SentinelSettings.model_fields:
        is_unused = field.startswith(("sentinel_username", "sentinel_password", "sentinel_tls"))
        if is_unused and getattr(settings, field):
            variable = f"REDIS_{field.upper()}"
            raise SettingsError([f"{variable}: it has no effect without REDIS_SENTINELS."])


def _variable(part: str) -> str:
    return f"REDIS_SENTINEL_TLS_{part.upper()}_FILE"
