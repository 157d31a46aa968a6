"""Pure: the objects, their validation and the rules between them. No IO, no clock."""

from pydatacoll.model.batch import DataBatch, DeviceBatch
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.quality import Quality, is_usable, quality_from_wire, quality_to_wire
from pydatacoll.model.sample import PointId, Sample, Value, sample_to_wire, time_from_wire, time_to_wire

__all__ = [
    "DataBatch",
    "Device",
    "DeviceBatch",
    "Formula",
    "Item",
    "ModelObject",
    "PointId",
    "Quality",
    "Sample",
    "Term",
    "TermItem",
    "Value",
    "is_usable",
    "quality_from_wire",
    "quality_to_wire",
    "sample_to_wire",
    "time_from_wire",
    "time_to_wire",
]
