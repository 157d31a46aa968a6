"""What all kinds of model objects have in common over REST: list, get, create, replace, merge, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from pydatacoll.api import changes, responses
from pydatacoll.api.access import check_named
from pydatacoll.api.body import JSON_TYPE, MERGE_PATCH_TYPE
from pydatacoll.api.operation import Answer, Body, Call, Operation, array, ref
from pydatacoll.api.query import DRY_RUN, EXPAND, PAGING
from pydatacoll.model import ModelObject
from pydatacoll.model.change import PLURAL, Key, find, key_of
from pydatacoll.model.validation import Kind, to_wire

Convert = Callable[[Any], dict[str, Any]]
Views = Callable[[Call, Sequence[Any]], Awaitable[tuple[Sequence[Any], Convert]]]
"""Objects -> what is to be converted, and the conversion: what is slow is done once for all of them."""

ID = {"type": "string", "pattern": "^[A-Za-z0-9_.\\-]{1,64}$"}
PAGE_HEADERS = {
    "X-Total-Count": "length of the whole list",
    "Link": 'with limit, when there is more: the next page, rel="next" (RFC 8288)',
}


async def plain(call: Call, objects: Sequence[Any]) -> tuple[Sequence[Any], Convert]:
    """The view of objects that are shown as they are stored."""
    return objects, to_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object.

    :ivar collection: path of the list.
    :ivar names: path parameters that make up the key, in order.
    :ivar parented: whether the first of them is the parent's and stands in the path of the list, too.
    """

    kind: Kind
    component: str
    collection: str
    names: tuple[str, ...]
    parented: bool = False
    views: Views = plain
    refers: bool = False
    """Whether an object names others that must exist."""
    live: bool = False
    """Whether the representation holds what only the store knows."""

    def key(self, call: Call) -> Key:
        """The key in the path."""
        path = call.path
        names = self.names
        return path[names[0]] if len(names) == 1 else (path[names[0]], path[names[1]])

    async def respond(self, call: Call, made: ModelObject, status: int = 200) -> web.Response:
        """The representation of one object."""
        things, convert = await self.views(call, (made,))
        if status != 201:
            return responses.of(convert(things[0]), status)
        key = key_of(made)
        own = key if isinstance(key, str) else key[-1]
        return responses.of(
            convert(things[0]), status, {"Location": f"{call.request.rel_url.raw_path}/{quote(own, safe='')}"}
        )

    async def respond_list(
        self, call: Call, keys: Collection[str], lookup: Callable[[str], ModelObject]
    ) -> web.Response:
        """Sorted ids, or the objects, in pages."""
        query = call.query
        ids, headers = responses.page(call.request, sorted(keys), query["limit"], query["offset"])
        if not query["expand"]:
            return responses.of(ids, 200, headers)
        things, convert = await self.views(call, [lookup(key) for key in ids])
        return await responses.rows(things, convert, headers)

    async def list_all(self, call: Call) -> web.StreamResponse:
        table: dict[str, ModelObject] = getattr(call.model, PLURAL[self.kind])
        return await self.respond_list(call, table, table.__getitem__)

    async def get(self, call: Call) -> web.StreamResponse:
        return await self.respond(call, find(call.model, self.kind, self.key(call)))

    def _check_named(self, call: Call, parent: dict[str, str]) -> None:
        if call.identity.devices:  # else the model, which may not have been read yet, is not needed
            check_named(call.identity, self.kind, {**parent, **call.body}, call.model, call.everything)

    async def create(self, call: Call) -> web.StreamResponse:
        parent = call.path[self.names[0]] if self.parented else None
        self._check_named(call, {} if parent is None else {"term_id": parent})
        return await self.respond(call, await changes.create(call, self.kind, call.body, parent), 201)

    async def replace(self, call: Call) -> web.StreamResponse:
        key, payload = self.key(call), call.body
        self._check_named(call, {})
        made = await changes.change(
            call, "replace", self.kind, key, lambda tx: tx.replace_steps(self.kind, key, payload)
        )
        return await self.respond(call, made)

    async def merge(self, call: Call) -> web.StreamResponse:
        key, patch = self.key(call), call.body
        self._check_named(call, {})
        made = await changes.change(
            call, "merge", self.kind, key, lambda tx: tx.merge_steps(self.kind, key, patch)
        )
        return await self.respond(call, made)

    async def delete(self, call: Call) -> web.StreamResponse:
        return responses.of({"deleted": await changes.delete(call, self.kind, self.key(call))})

    def operations(
        self, list_handler: Callable[[Call], Awaitable[web.StreamResponse]] | None = None
    ) -> list[Operation]:
        """The six operations of a kind."""
        kind, view = self.kind, ref(self.component)
        words = kind.replace("_", " ")
        article = "an" if words[0] in "aeiou" else "a"
        member = f"{self.collection}/{{{self.names[-1]}}}"
        body = ref(f"{self.component}Input")
        parent_errors = (404,) if self.parented else ()
        live_errors = (503,) if self.live else ()
        one = {200: Answer(f"the {words}", view)}
        rename = "A different key in the body renames the object; what depends on it, and recent data, follows."
        return [
            Operation(
                id=f"list_{PLURAL[kind]}",
                method="GET",
                path=self.collection,
                handler=list_handler or self.list_all,
                summary=f"Ids of all {words}s, sorted, or the {words}s themselves",
                query=(EXPAND, *PAGING),
                answers={
                    200: Answer(
                        "ids, or objects with expand=true",
                        {"oneOf": [array(ID), array(view, minItems=1)]},
                        headers=PAGE_HEADERS,
                    )
                },
                errors=(*parent_errors, *live_errors),
                tag=PLURAL[kind],
            ),
            Operation(
                id=f"create_{kind}",
                method="POST",
                path=self.collection,
                handler=self.create,
                summary=f"Create {article} {words}",
                body=Body(body),
                answers={201: Answer(f"the {words}", view, headers={"Location": "path of the new object"})},
                errors=(*((404,) if self.refers else ()), 409, 503),
                tag=PLURAL[kind],
            ),
            Operation(
                id=f"get_{kind}",
                method="GET",
                path=member,
                handler=self.get,
                summary=f"One {words}",
                answers=one,
                errors=(404, *live_errors),
                tag=PLURAL[kind],
            ),
            Operation(
                id=f"replace_{kind}",
                method="PUT",
                path=member,
                handler=self.replace,
                summary=f"Replace or rename {article} {words}",
                description=rename,
                body=Body(body),
                answers=one,
                errors=(404, 409, 503),
                tag=PLURAL[kind],
            ),
            Operation(
                id=f"update_{kind}",
                method="PATCH",
                path=member,
                handler=self.merge,
                summary=f"Change the named fields of {article} {words}",
                description=f"JSON merge patch (RFC 7396): null sets a field back to its default. {rename}",
                body=Body({"type": "object"}, media_types=(JSON_TYPE, MERGE_PATCH_TYPE)),
                answers=one,
                errors=(404, 409, 503),
                tag=PLURAL[kind],
            ),
            Operation(
                id=f"delete_{kind}",
                method="DELETE",
                path=member,
                handler=self.delete,
                summary=f"Delete {article} {words} and all that depends on it",
                query=(DRY_RUN,),
                answers={200: Answer("what was, or would be, deleted", ref("Deleted"))},
                errors=(404, 503),
                tag=PLURAL[kind],
            ),
        ]
