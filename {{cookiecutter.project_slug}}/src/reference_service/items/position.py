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
CURSOR = re.compile(r"[A-Za-z0-9_-]{32}")


class Position(NamedTuple):
    """Where an item stands. Items are ordered by it; no two share one, and none ever moves."""

    created_at: datetime
    id: UUID

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return an item's position."""
        return cls(item.created_at, item.id)

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Return the position that a cursor stands for. Raises ValueError if it stands for none."""
        if not CURSOR.fullmatch(cursor):
            raise ValueError("this is not a cursor")
        microseconds, item_id = LAYOUT.unpack(base64.urlsafe_b64decode(cursor))
        try:
            return cls(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=item_id))
        except OverflowError as error:
            raise ValueError("this is not a cursor") from error

    def cursor(self) -> str:
        """Return it as a word that is safe in a URL, and opaque: clients only hand it back."""
        microseconds = (self.created_at - EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(LAYOUT.pack(microseconds, self.id.bytes)).decode()
