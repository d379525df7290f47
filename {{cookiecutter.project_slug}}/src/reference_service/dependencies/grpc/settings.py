"""Settings of the gRPC services that this service calls."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

TARGET = re.compile(
    r"(?P<name>[a-z][a-z0-9_-]*)=(?P<address>[^\s/=]+:(?P<port>\d{1,5}))"
    r"(?:/(?P<service>[^\s?]*))?(?:\?(?P<tls>\S+))?"
)
TLS_PARAMETERS = ("tls", "tls_ca_file", "tls_cert_file", "tls_key_file", "tls_server_name")


@dataclass(frozen=True, slots=True)
class Target:
    """A service to call."""

    name: str  # in this service's code and in the name of its check
    address: str  # host:port
    service: str  # the name under which its health is registered; "" is the server as a whole
    tls: Mapping[str, str]  # what differs from the settings for all targets, see TLS_PARAMETERS


def _parse_targets(text: str) -> tuple[Target, ...]:
    targets: dict[str, Target] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        match = TARGET.fullmatch(entry)
        if match is None or not 0 < int(match["port"]) < 1 << 16:
            form = "name=host:port/service, the name in a-z, 0-9, '_' and '-'"
            raise ValueError(f"{entry!r} is not {form}")
        name = match["name"]
        if name in targets:
            raise ValueError(f"two targets are named {name!r}")
        tls = _parse_tls(name, match["tls"] or "")
        targets[name] = Target(name, match["address"], match["service"] or "", tls)
    if not targets:
        raise ValueError("it names no target")
    return tuple(targets.values())


def _parse_tls(name: str, text: str) -> Mapping[str, str]:
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    for parameter, value in parameters.items():
        if parameter not in TLS_PARAMETERS:
            raise ValueError(f"{name!r} has a parameter that is not one of {TLS_PARAMETERS}")
        if parameter == "tls" and value not in ("true", "false"):
            raise ValueError(f"tls of {name!r} is not true or false")
    return parameters


class GrpcSettings(BaseSettings):
    """The services to call with gRPC."""

    model_config = SettingsConfigDict(env_prefix="GRPC_", use_attribute_docstrings=True)

    targets: Annotated[tuple[Target, ...], NoDecode, BeforeValidator(_parse_targets)]
    """Services to call, as name=host:port/service,…; `service` is the name under which its health
    is registered and can be omitted. ?tls=true&tls_ca_file=… behind it changes TLS for one."""
    tls: bool = False
    """Whether to connect with TLS."""
    tls_ca_file: str | None = None
    """File with the certificates of the authorities that sign those of the servers, in PEM format.
    Default: the authorities that gRPC trusts."""
    tls_cert_file: str | None = None
    """File with the certificate of this client, for mutual TLS, in PEM format."""
    tls_key_file: str | None = None
    """File with the key of this certificate. Default: the same file."""
