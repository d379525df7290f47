"""Kafka carries the announcements of items."""

from ..items.announcements import AnnouncedItems
from ..resources.kafka import Kafka, KafkaSettings
from . import Assembly, Figure, Wiring


def _announce_items(service: Assembly, settings: KafkaSettings) -> None:
    kafka = service.resources.add(Kafka(settings))
    service.store = AnnouncedItems(service.store, kafka.publish)
    lost = Figure("announcements_lost_total", "Never sent.", lambda: kafka.lost)
    service.figures.append(lost)


WIRING = Wiring(KafkaSettings, _announce_items)
