"""JSON in and out; the one module that knows which libraries do it.

In: msgspec, strict. It refuses what RFC 8259 refuses (``NaN``, ``Infinity``, leading zeros, bad UTF-8, lone
surrogates) and numbers that no double holds (``1e400``), all of which ujson takes. Out: ujson, which never
writes ``NaN`` here: a document that holds one is written by msgspec, as ``null``.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec
import ujson

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_CONTAINERS = frozenset({dict, list})

MAX_DEPTH = 32
"""Levels of nesting that a document may have."""
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


class MalformedJson(ValueError):
    """Bytes that are no JSON document. The message says why and where, fit to be shown to the user."""


def decode(raw: bytes) -> Any:
    """Bytes (UTF-8) -> objects. Of a repeated key the last one counts.

    :raises MalformedJson: for everything else, and for nesting beyond ``MAX_DEPTH``, which would exhaust the
        stack of whatever walks the result.
    """
    try:
        value = _decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"invalid UTF-8 ({error.reason})") from None
    except msgspec.MsgspecError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        if reason.startswith("Number out of range"):  # its path names no place that a user could find
            reason = "it holds a number that is out of range"
        raise MalformedJson(reason) from None
    except RecursionError:
        raise MalformedJson(_TOO_DEEP) from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def decode_text(text: str) -> Any:
    """The same of a text.

    :raises MalformedJson: as above.
    """
    return decode(text.encode())


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            if type(whole) in _CONTAINERS
            for part in (whole.values() if type(whole) is dict else whole)
            if type(part) in _CONTAINERS
        ]
        if not level:
            return
    raise MalformedJson(_TOO_DEEP)


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is no number in JSON")


_part_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_at(text: str, at: int) -> tuple[Any, int]:
    """One value out of the middle of a text that is decoded piece by piece; returns it and where it ends.

    Slower than :func:`decode`, and a number beyond a double is infinite here.

    :raises MalformedJson: without a place, where the error is not one of syntax.
    """
    try:
        value, end = _part_decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise MalformedJson(_TOO_DEEP) from None
    except MalformedJson:
        raise
    except ValueError:  # more digits than Python converts
        raise MalformedJson("it holds a number that is out of range") from None
    if type(value) in _CONTAINERS:
        _check_depth(value)
    return value, end


def encode(value: Any) -> bytes:
    """JSON types -> bytes (ASCII or UTF-8, no spaces). A NaN or an infinity becomes ``null``."""
    try:
        return ujson.dumps(value, allow_nan=False, escape_forward_slashes=False).encode()
    except OverflowError:
        return _encoder.encode(value)
