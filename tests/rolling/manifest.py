"""What the manifest of a pod specifies, with waiting times scaled for these tests."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .clock import SPEEDUP, scaled

SCALED_SETTINGS = ("SERVICE_DRAIN_DELAY", "SERVICE_SHUTDOWN_TIMEOUT")
"""The settings of the service that are waiting times."""


@dataclass(frozen=True)
class Probe:
    """A probe of a pod. period, timeout: seconds."""

    path: str
    period: float
    timeout: float
    failure_threshold: int

    @classmethod
    def from_manifest(cls, probe: Mapping[str, Any]) -> Self:
        """Read a probe of a container."""
        return cls(
            probe["httpGet"]["path"],
            scaled(probe["periodSeconds"]),
            probe["timeoutSeconds"],
            probe["failureThreshold"],
        )


@dataclass(frozen=True)
class Manifest:
    """A pod. pre_stop, grace_period: seconds from its deletion until SIGTERM, and until SIGKILL."""

    startup: Probe
    ready: Probe
    live: Probe
    pre_stop: float
    grace_period: float
    settings: dict[str, str]

    @classmethod
    def from_pod(cls, spec: Mapping[str, Any], settings: Mapping[str, str]) -> Self:
        """Read the `spec` of a pod, and the settings from its ConfigMap."""
        container = spec["containers"][0]
        startup = Probe.from_manifest(container["startupProbe"])
        attempts = startup.failure_threshold * SPEEDUP  # the time for a start is not scaled
        return cls(
            dataclasses.replace(startup, failure_threshold=attempts),
            Probe.from_manifest(container["readinessProbe"]),
            Probe.from_manifest(container["livenessProbe"]),
            scaled(container["lifecycle"]["preStop"]["sleep"]["seconds"]),
            scaled(spec["terminationGracePeriodSeconds"]),
            {**settings, **{name: str(scaled(float(settings[name]))) for name in SCALED_SETTINGS}},
        )
