"""The newest values of a device that is watched. Pure."""

from __future__ import annotations

from typing import Final

from pydatacoll.model.sample import Sample, Value

StreamId = tuple[int, int]
"""Id of an entry of a stream: milliseconds, number."""
START: Final[StreamId] = (0, 0)


class Cell:
    """The newest value of a point. ``text`` is its row as JSON, made when first wanted."""

    __slots__ = ("quality", "seq", "text", "time", "value")

    def __init__(self, seq: int, time: float, value: Value, quality: int) -> None:
        self.seq = seq
        self.time = time
        self.value = value
        self.quality = quality
        self.text = ""


class DeviceState:
    """A device that is watched.

    :ivar seq: of the last change of one of its values.
    :ivar cells: by ``term_id:item_id``, that which changed last at the end.
    :ivar confirmed: cells that have a newer time, and no number for that yet.
    :ivar fields: the points it has in the model.
    :ivar flags: added to the quality of all its values.
    :ivar loaded: whether the cells are what the store has.
    :ivar waiting: while it is not, what came meanwhile, the newest of each field: what is being read from the
        store may be older.
    :ivar samples: how many came; ``rate``: about how many in a second.
    :ivar upto: entries of the stream up to this one are in the cells already.
    """

    __slots__ = (
        "cells",
        "confirmed",
        "fields",
        "flags",
        "id",
        "loaded",
        "rate",
        "samples",
        "seq",
        "upto",
        "waiting",
    )

    def __init__(self, device_id: str, fields: frozenset[str]) -> None:
        self.id = device_id
        self.seq = 0
        self.cells: dict[str, Cell] = {}
        self.confirmed: dict[str, None] = {}
        self.fields = fields
        self.flags = 0
        self.loaded = False
        self.waiting: dict[str, tuple[StreamId, Sample]] = {}
        self.upto = START
        self.samples = 0
        self.rate = 0.0
