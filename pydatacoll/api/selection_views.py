"""Shapes of select before operate in two steps."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from pydatacoll.api.view_types import Json, Time
from pydatacoll.model.objects import Id


class SelectRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which point to select, and for which value."""

    device_id: Id
    term_id: Id
    item_id: Id
    value: Annotated[bool | int | float | str, Meta(description="engineering value", examples=[230.5])]
    expires_in: Annotated[float, Meta(gt=0, le=86_400, description="seconds; never selected later")] | None = None
    reason: Annotated[str, Meta(max_length=1024, description="for the audit log")] | None = None


class SelectAnswer(Struct, kw_only=True):
    """A selection that the device confirmed."""

    device_id: str
    term_id: str
    item_id: str
    value: Json
    selection_id: Annotated[str, Meta(description="for device_ctrl, which executes it, or device_select/cancel")]
    expires: Annotated[Time, Meta(description="when it is given up, by the clock of the device's manager")]
    seconds: Annotated[float, Meta(description="how long it is held, from the confirmation on")]


class CancelRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which selection to give up."""

    device_id: Id
    term_id: Id
    item_id: Id
    selection_id: Annotated[str, Meta(max_length=64)]


class Cancelled(Struct, kw_only=True):
    """A selection that was given up."""

    device_id: str
    term_id: str
    item_id: str
    selection_id: str


COMPONENTS: Final[tuple[type[Struct], ...]] = (SelectRequest, SelectAnswer, CancelRequest, Cancelled)
