"""``/api/v1/items``: kinds of quantities."""

from __future__ import annotations

from pydatacoll.api.resource import Resource

ITEMS = Resource(
    kind="item",
    component="Item",
    collection="/api/v1/items",
    names=("item_id",),
)

OPERATIONS = ITEMS.operations()
