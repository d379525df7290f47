"""What the service is made of: one file each, put together by `app.py` in its order.

    def _index_items(service: Assembly, settings: SearchSettings) -> None:
        search = service.resources.add(Search(settings))
        service.store = IndexedItems(service.store, search)

    WIRING = Wiring(SearchSettings, _index_items)

A dependency of your own is a folder in `dependencies/`, a file here, and its name in `app.py`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi.telemetry import TelemetryConfig
from pydantic_settings import BaseSettings
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from ..dependencies import Dependencies
from ..environment import Settings
from ..health import Registry
from ..health.probes import Trace
from ..items import ItemStore, MemoryItems

S = TypeVar("S", bound=BaseSettings)


class Figure(NamedTuple):
    """What monitoring may read at any time; a name that ends in `_total` is a counter's."""

    name: str
    meaning: str
    read: Callable[[], float]


@dataclass
class Assembly:
    """What the service consists of so far; each wiring adds to it, or wraps what it finds."""

    name: str
    version: str
    registry: Registry
    resources: Dependencies = field(default_factory=Dependencies)
    store: ItemStore = field(default_factory=MemoryItems)
    tally: Counter[str] = field(default_factory=Counter)
    """How often what befalls requests has befallen them, by name."""
    figures: list[Figure] = field(default_factory=list)
    layers: list[Middleware] = field(default_factory=list)
    """AttemptContext every request, within its access log."""
    pages: dict[str, ASGIApp] = field(default_factory=dict)
    """Of the management port, by path."""
    telemetry: TelemetryConfig = field(
        default_factory=lambda: TelemetryConfig(tracing=False, metrics=False, logs=False)
    )
    """FastAPI's own."""
    trace: Trace | None = None
    """Traces a run of the checks when a probe asks for it."""
    on_beat: Callable[[float], None] = lambda _: None
    """Told the event loop's lag."""
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Called when all else is closed."""


@dataclass(frozen=True)
class Wiring(Generic[S]):
    """A part's place in the service.

    settings: what has to be read from the environment for it.
    add: called with the assembly and those settings; opens nothing. It may raise SettingsError.
    """

    settings: type[S]
    add: Callable[[Assembly, S], None]

    def add_to(self, service: Assembly, settings: Settings) -> None:
        """Put the part to use."""
        self.add(service, settings[self.settings])


def load(*names: str) -> tuple[Wiring[Any], ...]:
    """Return what the modules of this package that are called so have as `WIRING`."""
    return tuple(import_module(f".{name}", __name__).WIRING for name in names)
