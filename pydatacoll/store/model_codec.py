"""A model object <-> the text fields of its Redis hash.

Strings are stored as they are, numbers and booleans as JSON text, anything richer as JSON; unset fields are not
stored. Reading is lax: fields that the type does not know are left alone, so that an object of a driver that is
not installed keeps what only that driver understands.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from sys import intern
from typing import Any, cast

import msgspec

from pydatacoll.model import Formula, ModelObject
from pydatacoll.model.change import Key
from pydatacoll.model.fields import PARAM, Field, Shape, fields_of
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.store import keys


class CorruptHash(ValueError):
    """A stored hash cannot be read as the object it should be."""


def encode(made: ModelObject) -> dict[str, str]:
    """Object -> field -> text."""
    fields: dict[str, str] = {}
    for name, field in fields_of(type(made)).items():
        value = getattr(made, name)
        if value is not None:
            fields[name] = value if field.shape is Shape.TEXT else _text(field, value)
    if isinstance(made, Formula):
        fields.update(made.params)
    return fields


def _text(field: Field, value: Any) -> str:
    if field.shape is Shape.TEXT:
        return cast("str", value)
    if field.shape is Shape.NUMBER:
        return _NUMBER[value] if type(value) is bool else repr(value)
    return msgspec.json.encode(value).decode()


@cache
def _defaults(object_type: type[ModelObject]) -> Mapping[str, str]:
    """Fields with a default -> its text: need not be read, and then all objects share the value."""
    infos = {info.name: info.default for info in msgspec.structs.fields(object_type)}
    return {
        name: _text(field, infos[name])
        for name, field in fields_of(object_type).items()
        if infos[name] is not None and infos[name] is not msgspec.NODEFAULT
    }


_NUMBER = {True: "true", False: "false"}


def unset_fields(made: ModelObject, stored: Mapping[str, str]) -> list[str]:
    """Fields of the object's type that its hash must not have."""
    return [name for name in fields_of(type(made)) if name not in stored]


def decode(
    schemas: Schemas, kind: Kind, key: Key, fields: Mapping[str, str], protocol: str | None = None
) -> ModelObject:
    """Hash -> object; the ids in the key's name count, not those inside.

    :param protocol: of the device that a term or term item belongs to.
    :raises CorruptHash: when it cannot be read.
    """
    if kind == "device":
        protocol = fields.get("protocol")
    object_type = schemas.types_for(kind, protocol)
    known = fields_of(object_type)
    defaults = _defaults(object_type)
    values: dict[str, Any] = {}
    try:
        for name, text in fields.items():
            field = known.get(name)
            if field is None or text == defaults.get(name):
                continue
            if field.shape is Shape.JSON:
                values[name] = msgspec.json.decode(text)
            else:
                values[name] = intern(text) if field.repeated else text
        if isinstance(key, tuple):
            values["term_id"], values["item_id"] = map(intern, key)
        else:
            values["id"] = intern(key)
        if kind == "formula":
            values["params"] = {name: text for name, text in fields.items() if PARAM.match(name)}
        return msgspec.convert(values, object_type, strict=False)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise CorruptHash(f"{hash_key(kind, key)}: {error}") from error


def hash_key(kind: Kind, key: Key) -> str:
    """Name of the hash of an object."""
    if isinstance(key, tuple):
        return keys.hs_term_item(*key)
    return _HASH[kind](key)


_HASH = {
    "device": keys.hs_device,
    "term": keys.hs_term,
    "item": keys.hs_item,
    "formula": keys.hs_formula,
}


def parse_hash_key(name: str) -> tuple[Kind, Key]:
    """The inverse of :func:`hash_key`; ids hold no colon."""
    _, kind, first, *second = name.split(":")
    return cast("Kind", kind.lower()), (first, second[0]) if second else first


__all__ = ["CorruptHash", "decode", "encode", "hash_key", "parse_hash_key", "unset_fields"]
