"""The fields of a model object's type, compiled once, and the conversion of JSON values into them.

Conversion is lax as PyDataColl's clients need it: numbers and booleans may come as text, numbers may come where
text is expected. What no field may hold is refused here: NaN and infinity, lone surrogates, control characters.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from math import isfinite
from sys import intern
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from pydatacoll.errors import FieldError
from pydatacoll.model.objects import HOST_PATTERN, ID_PATTERN, Id, PointRef

PARAM = re.compile(r"^p[0-9]{1,3}\Z")
"""Names of a formula's parameters on the wire."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_AT = re.compile(r" - at `.*`\Z")
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `\w+`| ([<>o].*))\Z")
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_LONGEST_NUMBER = 10**64
_REPEATED = {"code_type", "protocol"}


class Shape(Enum):
    """How a field's value looks as text."""

    TEXT = "text"  # only strings
    NUMBER = "number"  # int, float, bool
    JSON = "json"  # anything else


class Field:
    """One field of a type.

    :ivar shape: how its value looks as text.
    :ivar optional: whether it has a default, so that null means "unset".
    :ivar is_id: whether it is the id of an object.
    :ivar repeated: whether many objects have the same text here, so that it is worth keeping only once.
    """

    __slots__ = ("floating", "is_id", "name", "optional", "repeated", "shape", "type")

    def __init__(self, info: FieldInfo) -> None:
        self.name = info.name
        self.type = info.type
        self.optional = not info.required
        kinds = _kinds(info.type)
        self.floating = float in kinds
        self.is_id = info.type == Id
        if kinds == {str}:
            self.shape = Shape.TEXT
        elif kinds <= {int, float, bool}:
            self.shape = Shape.NUMBER
        else:
            self.shape = Shape.JSON
        self.repeated = self.shape is Shape.TEXT and (self.is_id or self.name in _REPEATED or _chosen(info.type))


def _chosen(annotation: Any) -> bool:
    """Whether the values are chosen from a list."""
    return get_origin(annotation) is Literal or any(_chosen(arg) for arg in get_args(annotation))


def _kinds(annotation: Any) -> set[Any]:
    """The types a value can have, without ``None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin is Literal:
        return {type(value) for value in get_args(annotation)} - {type(None)}
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(arg) for arg in get_args(annotation)))
    if annotation is type(None):
        return set()
    return {annotation if isinstance(annotation, type) else origin or annotation}


@cache
def fields_of(object_type: type[msgspec.Struct]) -> Mapping[str, Field]:
    """Field name -> field, in order of declaration. A formula's ``params`` are not a field: they are flat."""
    return {info.name: Field(info) for info in msgspec.structs.fields(object_type) if info.name != "params"}


def text_problem(text: str) -> str | None:
    """Why a text is refused; ``None`` when it is fine."""
    if text.isprintable():
        return None
    found = _UNPRINTABLE.search(text)
    if found is None:
        return None
    code = ord(found.group())
    if code >= 0xD800:
        return f"is not valid Unicode: lone surrogate U+{code:04X}"
    return f"contains the control character U+{code:04X}"


def id_from_json(value: object) -> str | None:
    """An id as it comes in JSON, a string or a whole number, as text; ``None`` for anything else.

    Whether the text is an id in form is another question: its field's type answers it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_NUMBER:
        return str(value)
    return None


def normalize(field: Field, value: Any) -> tuple[Any, str | None]:
    """Bring a JSON value near to the field's type; returns the value and what is wrong with it, if anything."""
    kind = type(value)
    problem: str | None = None
    if kind is str:
        problem = text_problem(value)
    elif field.is_id:
        text = id_from_json(value)
        if text is None:
            problem = "must be a string or a whole number"
        value = text
    elif field.shape is Shape.TEXT and kind in (int, float):
        if -_LONGEST_NUMBER < value < _LONGEST_NUMBER:
            value = json.dumps(value)
        else:
            problem = "is too long a number"
    elif kind is float and not isfinite(value):
        problem = "must be finite, not NaN or infinity"
    elif kind in (list, dict):
        problem = _nested_problem(value)
    if field.repeated and problem is None and type(value) is str:
        value = intern(value)
    return value, problem


def _nested_problem(value: Any) -> str | None:
    """NaN, infinity or bad text anywhere inside a list or object."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, str):
            problem = text_problem(part)
            if problem:
                return problem
        elif isinstance(part, float) and not isfinite(part):
            return "must be finite, not NaN or infinity"
    return None


_PATTERNS = {
    repr(HOST_PATTERN): "must be an IP address or a host name",
    repr(ID_PATTERN): "must be 1-64 characters of A-Z a-z 0-9 _ . -",
}


def message_of(error: Exception, annotation: Any = None) -> str:
    """A msgspec message without its path; types, choices and patterns are explained in words."""
    text = _AT.sub("", str(error))
    expected = _EXPECTED.match(text)
    if expected:
        kinds = [kind for kind in expected[1].split(" | ") if kind != "null"]
        if all(kind in _WORDS for kind in kinds):
            limit = f" {expected[2]}" if expected[2] else ""
            return f"must be {' or '.join(_WORDS[kind] for kind in kinds)}{limit}"
    choices = _choices(annotation) if text.startswith("Invalid enum value") else []
    if choices:
        return f"must be one of {', '.join(choices)}"
    if "matching regex" not in text:
        return text
    for pattern, words in _PATTERNS.items():
        if pattern in text:
            return words
    if annotation is PointRef:
        return "must be 'device:term:item'"
    return text


def _choices(annotation: Any) -> list[str]:
    """The texts that a field takes, when they are enumerated."""
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def convert_each(object_type: type[msgspec.Struct], payload: Mapping[str, Any], index: int) -> list[FieldError]:
    """Convert field by field and report every bad one."""
    errors = []
    fields = fields_of(object_type)
    for name, field in fields.items():
        if name not in payload:
            if not field.optional:
                errors.append(FieldError(index, name, "is required"))
            continue
        try:
            converted = msgspec.convert(payload[name], field.type, strict=False)
        except msgspec.ValidationError as error:
            errors.append(FieldError(index, name, message_of(error, field.type)))
            continue
        if isinstance(converted, float) and not isfinite(converted):
            errors.append(FieldError(index, name, "must be finite, not NaN or infinity"))
    return errors
