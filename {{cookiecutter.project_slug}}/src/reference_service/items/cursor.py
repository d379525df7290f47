"""The position of an item in the list, and the string that represents it in a URL."""

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
    """The position of an item. It orders the items, is unique, and never changes."""

    created_at: datetime
    id: UUID

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the position of an item."""
        return cls(item.created_at, item.id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position that a string represents. Raises ValueError if it is not a cursor.

        A forged cursor can hold a date that `datetime` cannot. The nearest valid date replaces it.
        """
        if not CURSOR.fullmatch(text):
            raise ValueError("this is not a cursor")
        microseconds, item_id = LAYOUT.unpack(base64.urlsafe_b64decode(text))
        since_epoch = max(FIRST, min(microseconds, LAST)) * MICROSECOND
        return cls(EPOCH + since_epoch, UUID(bytes=item_id))

    def encode(self) -> str:
        """Return an opaque string that is safe in a URL."""
        microseconds = (self.created_at - EPOCH) // MICROSECOND
        return base64.urlsafe_b64encode(LAYOUT.pack(microseconds, self.id.bytes)).decode()
