"""How the service uses its dependencies: one file each, put together by `app.py` in its order.

    def _index_items(service: Assembly, settings: SearchSettings) -> None:
        search = service.resources.add(Search(settings))
        service.store = IndexedItems(service.store, search)

    SEARCH = Wiring(SearchSettings, _index_items)

A dependency of your own is a file in `resources/`, a file like this one, and its name in `app.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic_settings import BaseSettings

from ..environment import Settings
from ..items import ItemStore, MemoryItems
from ..resources import Resources

S = TypeVar("S", bound=BaseSettings)


@dataclass
class Assembly:
    """What the service consists of so far; each wiring adds to it, or wraps what it finds."""

    resources: Resources = field(default_factory=Resources)
    store: ItemStore = field(default_factory=MemoryItems)


@dataclass(frozen=True)
class Wiring(Generic[S]):
    """A dependency's place in the service.

    settings: what has to be read from the environment for it.
    add: called with the assembly and those settings; opens nothing. It may raise SettingsError.
    """

    settings: type[S]
    add: Callable[[Assembly, S], None]

    def add_to(self, service: Assembly, settings: Settings) -> None:
        """Put the dependency to use."""
        self.add(service, settings[self.settings])
