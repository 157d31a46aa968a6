"""What a client sends, looked at before it becomes an object: patches, parents, keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.change import Key
from pydatacoll.model.fields import id_from_json
from pydatacoll.model.validation import Kind

KEY_FIELD: dict[Kind, str] = {"term_item": "item_id"}


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            below = result.get(name)
            result[name] = merge_patch(below if isinstance(below, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def id_text(value: object) -> str:
    """An id as it comes in JSON; "" for what cannot be one."""
    return id_from_json(value) or ""


def with_parent(kind: Kind, payload: Mapping[str, Any], parent: str) -> dict[str, Any]:
    """The payload with the id of its parent, which the path names.

    :raises Invalid: when it names another one itself.
    """
    field = "term_id" if kind == "term_item" else "device_id"
    given = payload.get(field)
    if given is not None and id_text(given) != parent:
        raise Invalid.of([FieldError(0, field, f"is not the {parent!r} of the path")])
    return {**payload, field: parent}


def check_once(seen: dict[Key, int], kind: Kind, key: Key, index: int) -> None:
    """
    :raises Invalid: for a key that stood at another index of the list already.
    """
    first = seen.setdefault(key, index)
    if first != index:
        message = f"appears twice in the list, first at index {first}"
        raise Invalid.of([FieldError(index, KEY_FIELD.get(kind, "id"), message)])


def key_from_json(kind: Kind, raw: object, index: int) -> Key:
    """The key of an object as a list of keys gives it: an id, or ``{term_id, item_id}``.

    :raises Invalid: for anything else.
    """
    if kind != "term_item":
        key = id_text(raw)
        if not key:
            raise Invalid.of([FieldError(index, "id", "expected an id")])
        return key
    if isinstance(raw, Mapping):
        pair = [id_text(raw.get("term_id")), id_text(raw.get("item_id"))]
        extra = set(raw) - {"term_id", "item_id"}
    else:
        pair = [id_text(part) for part in raw] if isinstance(raw, (list, tuple)) else []
        extra = set()
    if len(pair) != 2 or not all(pair) or extra:
        raise Invalid.of([FieldError(index, "term_item", "expected {term_id, item_id}")])
    return pair[0], pair[1]
