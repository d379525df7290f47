"""What a pod's manifest tells a kubelet, in the time of these tests."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .clock import FASTER, scaled

WAITS = ("SERVICE_DRAIN_DELAY", "SERVICE_SHUTDOWN_TIMEOUT")
"""The settings of the service that only wait."""


@dataclass(frozen=True)
class Probe:
    """A probe of a pod. period, timeout: seconds; failures: in a row, until it counts."""

    path: str
    period: float
    timeout: float
    failures: int

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> Self:
        """Read one."""
        return cls(
            probe["httpGet"]["path"],
            scaled(probe["periodSeconds"]),
            probe["timeoutSeconds"],
            probe["failureThreshold"],
        )


@dataclass(frozen=True)
class Manifest:
    """A pod. pre_stop, grace: seconds from its deletion until SIGTERM, and until SIGKILL."""

    startup: Probe
    ready: Probe
    live: Probe
    pre_stop: float
    grace: float
    settings: dict[str, str]

    @classmethod
    def of(cls, spec: Mapping[str, Any], settings: Mapping[str, str]) -> Self:
        """Read a pod's `spec`, and the settings that it takes from elsewhere."""
        container = spec["containers"][0]
        startup = Probe.of(container["startupProbe"])
        return cls(
            dataclasses.replace(startup, failures=startup.failures * FASTER),  # a start is work
            Probe.of(container["readinessProbe"]),
            Probe.of(container["livenessProbe"]),
            scaled(container["lifecycle"]["preStop"]["sleep"]["seconds"]),
            scaled(spec["terminationGracePeriodSeconds"]),
            {**settings, **{name: str(scaled(float(settings[name]))) for name in WAITS}},
        )
