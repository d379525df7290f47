"""Cursors: their text, and the positions that they represent."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from reference_service.items import Cursor

MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 11, 24, 12, 0, 0, 1, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
]
SOME = UUID("0b7c5b0e-3a52-4d0c-9d0f-7d3f4f1c2e6a")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("item_id", [UUID(int=0), SOME, UUID(int=2**128 - 1)])
def test_parsed_cursor_equals_the_encoded_one(moment: datetime, item_id: UUID) -> None:
    cursor = Cursor(moment, item_id)
    assert Cursor.parse(cursor.encode()) == cursor


def test_cursor_needs_no_escaping_in_a_url() -> None:
    cursor = Cursor(MOMENTS[-1], UUID(int=2**128 - 1)).encode()
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


GOOD = Cursor(MOMENTS[2], SOME).encode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "0",
        GOOD[:-1],
        GOOD + "A",
        GOOD + "\n",
        GOOD[:-1] + "=",
        GOOD[:-1] + "+",
        GOOD[:-1] + "\N{LATIN SMALL LETTER E WITH ACUTE}",
        GOOD[:-1] + "\udcff",
        "' OR 1=1; --".ljust(32, "A"),
    ],
)
def test_malformed_cursor_is_rejected(cursor: str) -> None:
    with pytest.raises(ValueError, match="this is not a cursor"):
        Cursor.parse(cursor)


@pytest.mark.parametrize(
    ("cursor", "end"),
    [
        ("f" + "_" * 31, MOMENTS[-1]),  # the year 294,247
        ("gAAAAAAA" + "A" * 24, MOMENTS[0]),  # as far back
    ],
)
def test_cursor_outside_the_calendar_represents_its_end(cursor: str, end: datetime) -> None:
    assert Cursor.parse(cursor).created_at == end
