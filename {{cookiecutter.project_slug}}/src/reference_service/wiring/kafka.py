"""Kafka carries the announcements of items."""

from ..dependencies.kafka import Kafka, KafkaSettings
from ..items.events import PublishingItemStore
from . import Assembly, Figure, Wiring


def _announce_items(service: Assembly, settings: KafkaSettings) -> None:
    kafka = service.resources.add(Kafka(settings))
    service.store = PublishingItemStore(service.store, kafka.publish)
    lost = Figure("item_events_dropped_total", "Never sent.", lambda: kafka.dropped)
    service.figures.append(lost)


WIRING = Wiring(KafkaSettings, _announce_items)
