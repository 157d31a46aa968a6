"""Shapes of the history, see :mod:`pydatacoll.api.views`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from pydatacoll.api.view_types import Json, QualityView, Time


class BucketView(Struct, kw_only=True):
    """What a span of time holds of one point. Samples that are not good count in ``bad`` and ``last`` only."""

    device_id: str
    term_id: str
    item_id: str
    time: Annotated[Time, Meta(description="when the span begins")]
    min: Annotated[float | None, Meta(description="null when there is no good number; so max and mean")]
    max: float | None
    mean: Annotated[float | None, Meta(description="of the samples, whatever time lies between them")]
    count: Annotated[int, Meta(description="good samples")]
    bad: Annotated[int, Meta(description="other samples")]
    last: Annotated[Json, Meta(description="value of the last sample, whatever its quality")]
    last_time: Time
    quality: Annotated[QualityView, Meta(description="of the last sample")]


COMPONENTS: Final[tuple[type[Struct], ...]] = (BucketView,)
