"""Settings of the gRPC services that this service calls."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

TARGET = re.compile(
    r"(?P<name>[a-z][a-z0-9_-]*)=(?P<address>[^\s/=]+:(?P<port>\d{1,5}))(?:/(?P<service>\S*))?"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A service to call."""

    name: str  # in this service's code and in the name of its check
    address: str  # host:port
    service: str  # the name under which its health is registered; "" is the server as a whole


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
        targets[name] = Target(name, match["address"], match["service"] or "")
    if not targets:
        raise ValueError("it names no target")
    return tuple(targets.values())


class GrpcSettings(BaseSettings):
    """The services to call with gRPC."""

    model_config = SettingsConfigDict(env_prefix="GRPC_", use_attribute_docstrings=True)

    targets: Annotated[tuple[Target, ...], NoDecode, BeforeValidator(_parse_targets)]
    """Services to call, as name=host:port/service,…; `service` is the name under which its health
    is registered and can be omitted."""
