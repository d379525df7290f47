"""An item's place in the order of items, and the cursor by which a client carries it."""

import base64
import re
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from .model import Item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAYOUT = struct.Struct(">q16s")  # microseconds since the epoch, id: 24 bytes, so no padding
CURSOR = re.compile(r"^[A-Za-z0-9_-]{32}$")
MICROSECOND = timedelta(microseconds=1)
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND


class Cursor(NamedTuple):
    """Where an item stands. Items are ordered by it; no two share one, and none ever moves."""

    created_at: datetime
    id: UUID

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return an item's position."""
        return cls(item.created_at, item.id)

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Return the position that a cursor stands for. Raises ValueError if it is no cursor.

        One that nobody was given may lie beyond the calendar: it stands for the calendar's end.
        """
        if not CURSOR.fullmatch(cursor):
            raise ValueError("this is not a cursor")
        microseconds, item_id = LAYOUT.unpack(base64.urlsafe_b64decode(cursor))
        since_epoch = max(FIRST, min(microseconds, LAST)) * MICROSECOND
        return cls(EPOCH + since_epoch, UUID(bytes=item_id))

    def encode(self) -> str:
        """Return it as a word that is safe in a URL, and opaque: clients only hand it back."""
        microseconds = (self.created_at - EPOCH) // MICROSECOND
        return base64.urlsafe_b64encode(LAYOUT.pack(microseconds, self.id.bytes)).decode()
