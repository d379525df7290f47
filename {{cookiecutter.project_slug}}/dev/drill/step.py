"""A step of the drill, as data: what is broken, and what the probes have to say of it."""

from collections.abc import Callable
from dataclasses import dataclass

from dev.drill.environment import Stage
from dev.drill.snapshot import WELL
from dev.server import Server

Act = Callable[[Stage], object]
"""Does something to the service or its servers, and returns when it is done.

What goes wrong with it is told by RuntimeError or OSError, in a sentence.
"""


@dataclass(frozen=True)
class Step:
    """What is broken, how it is mended, and what is seen meanwhile.

    story: what will be seen and why, for somebody who sees it for the first time.
    ready: what `ready` has to come to answer, as "503" or "200 warn".
    names: how what `?verbose` then says has to begin, as "name-of-a-check: TimeoutError".
    live: what `live` and `startup` have to answer meanwhile.
    server: what has to be there for it; None if it breaks the service itself.
    """

    title: str
    story: str
    breaks: Act
    mends: Act
    ready: str
    names: str = ""
    live: str = WELL
    server: type[Server] | None = None
