"""The alert on dropped item events."""

from pathlib import Path

from .alerting import assert_fires_and_resolves, counter_case


def test_dropped_item_events_alert(tmp_path: Path) -> None:
    case = counter_case("ItemEventsDropped", "item-events", "item_events_dropped_total")
    assert_fires_and_resolves(case, tmp_path)
