"""TLS to gRPC services, from files that are read again for each new channel."""

from dataclasses import dataclass
from pathlib import Path

import grpc  # type: ignore[import-untyped]

from ...environment import SettingsError
from ..certificates import Expiries, Tls
from ..tls import file_versions
from ..tls_files import create_context
from .settings import GrpcSettings, Target

FILES = ("ca", "cert", "key")


@dataclass(frozen=True)
class ChannelTls:
    """How to connect to one service. The files are in PEM format."""

    address: tuple[str, int]
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    tls: Tls

    def credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a new channel. Raises OSError if a file cannot be read."""
        ca, cert, key = map(_read, (self.ca_file, self.cert_file, self.key_file or self.cert_file))
        return grpc.ssl_channel_credentials(ca, key, cert)

    def versions(self) -> list[object]:
        """Return what changes when a file is replaced."""
        return file_versions(self.ca_file, self.cert_file, self.key_file)

    async def inspect(self, failed: bool) -> Expiries:
        """Make a handshake of the check's own: gRPC does not show the certificate to clients."""
        return await self.tls.inspect([self.address], failed=failed)

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """The options of a new channel."""
        name = self.tls.server_name
        return (("grpc.ssl_target_name_override", name),) if name else ()


def channel_tls(target: Target, settings: GrpcSettings) -> ChannelTls | None:
    """Return how to connect to a service, or None without TLS. Raises SettingsError."""

    def variable(part: str) -> str:
        own = f"tls_{part}_file" in target.tls
        return f"GRPC_TARGETS: tls_{part}_file" if own else f"GRPC_TLS_{part.upper()}_FILE"

    if target.tls.get("tls", str(settings.tls).lower()) != "true":
        for name in target.tls:
            if name != "tls":
                raise SettingsError([f"GRPC_TARGETS: {name} has no effect without tls=true."])
        return None
    names = [f"tls_{part}_file" for part in FILES]
    ca, cert, key = (target.tls.get(name) or getattr(settings, name) for name in names)
    context = create_context(variable, ca, cert, key, "h2")  # gRPC servers require this protocol
    host, _, port = target.address.rpartition(":")
    tls = Tls(context, cert, target.tls.get("tls_server_name"))
    return ChannelTls((host.strip("[]"), int(port)), ca, cert, key, tls)


def require_tls(settings: GrpcSettings, *, used: bool) -> None:
    """Raise SettingsError for settings of TLS if no target uses it."""
    for part in FILES:
        if not (used or settings.tls) and getattr(settings, f"tls_{part}_file"):
            variable = f"GRPC_TLS_{part.upper()}_FILE"
            raise SettingsError([f"{variable}: it has no effect without GRPC_TLS=true."])


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
