"""``/api/v1/terms/{term_id}/items``: the links between terms and items, i.e. the points."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api.operation import Call
from pydatacoll.api.resource import Resource
from pydatacoll.model.change import find

TERM_ITEMS = Resource(
    kind="term_item",
    component="TermItem",
    collection="/api/v1/terms/{term_id}/items",
    names=("term_id", "item_id"),
    parented=True,
    refers=True,
)


async def list_term_items(call: Call) -> web.StreamResponse:
    """The items of one term."""
    registry = call.model
    term_id = call.path["term_id"]
    find(registry, "term", term_id)
    return await TERM_ITEMS.respond_list(
        call, registry.items_of(term_id), lambda item_id: registry.term_items[term_id, item_id]
    )


OPERATIONS = TERM_ITEMS.operations(list_term_items)
