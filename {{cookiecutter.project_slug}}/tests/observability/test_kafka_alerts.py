"""The alert on announcements that were lost."""

from pathlib import Path

from .alerting import event, fires_and_resolves


def test_lost_announcements_are_told_of(tmp_path: Path) -> None:
    fires_and_resolves(
        event("AnnouncementsLost", "announcements", "announcements_lost_total"), tmp_path
    )
