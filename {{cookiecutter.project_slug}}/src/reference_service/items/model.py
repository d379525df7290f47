"""The fields of an item, and those that clients may send."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

# No control characters: databases reject NUL, and others can forge lines in logs and terminals.
Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    Field(description="One line of text. Spaces around it are removed.", examples=["Lamp"]),
]
Description = Annotated[
    str,
    StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"),
    Field(description="Text of one or several lines.", examples=["Brass, 40 W."]),
]


class ItemCreate(BaseModel):
    """A new item. Unknown fields are rejected, so that a misspelled field is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: Description | None = None


@with_config(ConfigDict(extra="forbid"))
class ItemPatch(TypedDict, total=False):
    """The fields to change. Omitted fields keep their values. A null description clears it."""

    name: Name
    description: Description | None


class Item(BaseModel):
    """A stored item. It is not validated, because it may be older than today's rules."""

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(examples=["0b7c5b0e-3a52-4d0c-9d0f-7d3f4f1c2e6a"])
    name: str = Field(examples=["Lamp"])
    description: str | None = Field(examples=["Brass, 40 W."])
    created_at: AwareDatetime = Field(examples=["2026-11-24T12:00:00.000001Z"])
    updated_at: AwareDatetime = Field(examples=["2026-11-24T12:00:00.000001Z"])


class ItemPage(BaseModel):
    """One page of the items, the newest first."""

    items: list[Item]
    next_cursor: str | None = Field(
        description="The `cursor` of the next page. It is null on the last page.",
        examples=["AAZPrg8yAAALfFsOOlJNDJ0PfT9PHC5q", None],
    )
