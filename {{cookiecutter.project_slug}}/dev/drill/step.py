"""A step of the drill, as data: what is broken, and how the probes must respond."""

from collections.abc import Callable
from dataclasses import dataclass

from dev.drill.environment import Environment
from dev.drill.snapshot import HEALTHY
from dev.server import Server

Action = Callable[[Environment], object]
"""Changes the service or its servers, and returns when that is done.

Raises RuntimeError or OSError with a sentence if it fails.
"""


@dataclass(frozen=True)
class Step:
    """A failure, its repair, and the expected responses of the probes.

    description: what the probes show and why, for a reader who sees it for the first time.
    ready: the expected response of `ready`, for example "503" or "200 warn".
    reason: the expected beginning of a failure in `?verbose`, for example "NAME: TimeoutError".
    live: the expected response of `live` and `startup`.
    server: the server that the step needs; None if it breaks the service itself.
    """

    title: str
    description: str
    inject: Action
    repair: Action
    ready: str
    reason: str = ""
    live: str = HEALTHY
    server: type[Server] | None = None
