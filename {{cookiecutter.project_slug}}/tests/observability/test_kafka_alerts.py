"""The alert on announcements that were lost."""

from pathlib import Path

from .alerting import event, fires_and_resolves


def test_lost_announcements_are_told_of(tmp_path: Path) -> None:
    fires_and_resolves(
        event("ItemEventsDropped", "announcements", "item_events_dropped_total"), tmp_path
    )
