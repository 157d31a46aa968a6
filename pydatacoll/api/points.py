"""Finding the point that a request names."""

from __future__ import annotations

from dataclasses import dataclass

from pydatacoll.model import Device, PointId, Term, TermItem
from pydatacoll.model.change import find, missing
from pydatacoll.model.registry import ModelView


@dataclass(frozen=True, slots=True)
class Found:
    """A term item with what it belongs to."""

    device: Device
    term: Term
    item: TermItem

    @property
    def id(self) -> PointId:
        return PointId(self.device.id, self.term.id, self.item.item_id)


def find_point(registry: ModelView, device_id: str, term_id: str, item_id: str) -> Found:
    """
    :raises NotFound: saying which is missing: device, term (or one of another device), item or their link.
    """
    device = registry.devices.get(device_id)
    if device is None:
        raise missing("device", device_id)
    term = registry.terms.get(term_id)
    if term is None or term.device_id != device_id:
        raise missing("term", term_id)
    item = registry.term_items.get((term_id, item_id))
    if item is None:
        find(registry, "item", item_id)
        raise missing("term_item", (term_id, item_id))
    return Found(device, term, item)
