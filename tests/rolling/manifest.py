"""What the manifest of a pod specifies, with waiting times scaled for these tests."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .clock import ENDPOINT_PROPAGATION, SPEEDUP, scaled

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
    def from_manifest(cls, probe: Mapping[str, Any], speedup: float) -> Self:
        """Read a probe of a container."""
        return cls(
            probe["httpGet"]["path"],
            scaled(probe["periodSeconds"], speedup),
            probe["timeoutSeconds"],
            probe["failureThreshold"],
        )


@dataclass(frozen=True)
class Manifest:
    """A pod. pre_stop, grace_period: seconds from its deletion until SIGTERM, and until SIGKILL.

    endpoint_propagation: seconds until clients are routed by a change of the endpoints.
    """

    startup: Probe
    ready: Probe
    live: Probe
    pre_stop: float
    grace_period: float
    endpoint_propagation: float
    settings: dict[str, str]

    @classmethod
    def from_pod(
        cls, spec: Mapping[str, Any], settings: Mapping[str, str], speedup: float = SPEEDUP
    ) -> Self:
        """Read the `spec` of a pod, and the settings from its ConfigMap.

        speedup: divisor of the waiting times.
        """
        container = spec["containers"][0]
        startup = Probe.from_manifest(container["startupProbe"], speedup)
        attempts = round(startup.failure_threshold * speedup)  # the time for a start is not scaled
        waits = {name: str(scaled(float(settings[name]), speedup)) for name in SCALED_SETTINGS}
        return cls(
            dataclasses.replace(startup, failure_threshold=attempts),
            Probe.from_manifest(container["readinessProbe"], speedup),
            Probe.from_manifest(container["livenessProbe"], speedup),
            scaled(container["lifecycle"]["preStop"]["sleep"]["seconds"], speedup),
            scaled(spec["terminationGracePeriodSeconds"], speedup),
            scaled(ENDPOINT_PROPAGATION, speedup),
            {**settings, **waits},
        )
