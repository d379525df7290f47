"""What one attempt took: a line of them shows when a dependency became slow."""

from dataclasses import dataclass

HISTORY_SIZE = 60
"""Attempts remembered for each check: five minutes of an idle one, one minute of a failed one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One attempt. Times are seconds of the engine's clock."""

    at: float
    """When it ended."""
    duration: float
    ok: bool
