"""What several shapes of the API are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Time = Annotated[
    str, Meta(description="UTC, ISO 8601 with microseconds and Z", examples=["2026-11-21T09:00:00.000000Z"])
]


Json = bool | int | float | str | None
QualityFlag = Literal[
    "invalid",
    "not_topical",
    "substituted",
    "blocked",
    "overflow",
    "comm_lost",
    "time_invalid",
    "out_of_range",
    "stale",
]
QualityView = Literal["good"] | list[QualityFlag]


class ProblemField(Struct, kw_only=True):
    """One bad field; ``index`` is the place in a batch. Of a document also tells where it stands there."""

    index: int
    field: str
    message: str
    row: Annotated[int, Meta(description="line of a table, index in a list")] | UnsetType = UNSET
    column: Annotated[str, Meta(description="column of a table, field of an object")] | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    key: Annotated[str, Meta(description='id, or term_id:item_id; "" when it cannot be told')] | UnsetType = UNSET
