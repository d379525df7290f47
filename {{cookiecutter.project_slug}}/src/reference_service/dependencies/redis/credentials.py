"""User and password of a URL that is in a file, and so can change while the service runs."""

import contextlib
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from redis.asyncio.connection import parse_url
from redis.credentials import CredentialProvider

from ...secret_files import SecretFile


class UrlCredentials(CredentialProvider):
    """The credentials of a URL, read for each connection. An invalid URL changes nothing."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._latest: tuple[str, ...] = ()

    def get_credentials(self) -> Any:
        """Return what `AUTH` takes: user and password, or only the password; or nothing."""
        with contextlib.suppress(ValueError):
            found: Mapping[str, Any] = parse_url(self._url.get_secret_value())
            names = ("username", "password") if "password" in found else ()
            self._latest = tuple(found[name] for name in names if name in found)
        return self._latest


def use_latest_credentials(options: dict[str, Any], url: SecretStr) -> None:
    """Let the options of connections read the credentials again each time, if they can change."""
    if isinstance(url, SecretFile):
        options.pop("username", None)
        options.pop("password", None)
        options["credential_provider"] = UrlCredentials(url)
