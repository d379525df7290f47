"""What an item is, and what clients may say about one."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

# No control characters: databases refuse NUL, and the others forge lines in logs and terminals.
Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    Field(description="One line; spaces around it are dropped.", examples=["Lamp"]),
]
Description = Annotated[
    str,
    StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"),
    Field(description="Any text, of several lines if need be.", examples=["Brass, 40 W."]),
]


class ItemCreate(BaseModel):
    """A new item. Fields it does not have are refused, so that a misspelled one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: Description | None = None


@with_config(ConfigDict(extra="forbid"))
class ItemPatch(TypedDict, total=False):
    """The fields to change. One that is not given stays as it is; a null description clears it."""

    name: Name
    description: Description | None


class Item(BaseModel):
    """An item as it is kept; maybe under older rules than today's, so none are applied here."""

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(examples=["0b7c5b0e-3a52-4d0c-9d0f-7d3f4f1c2e6a"])
    name: str = Field(examples=["Lamp"])
    description: str | None = Field(examples=["Brass, 40 W."])
    created_at: AwareDatetime = Field(examples=["2026-11-24T12:00:00.000001Z"])
    updated_at: AwareDatetime = Field(examples=["2026-11-24T12:00:00.000001Z"])


class ItemPage(BaseModel):
    """Some of the items, the newest first."""

    items: list[Item]
    next_cursor: str | None = Field(
        description="Ask for the next page with this `cursor`; null on the last page.",
        examples=["AAZPrg8yAAALfFsOOlJNDJ0PfT9PHC5q", None],
    )
